-- Kinesis requests as SDKs send them.
-- mode=record   PutRecord                  mode=records  PutRecords of count=N, partition keys spread over all shards
-- mode=get      GetRecords of limit=N, from where `start` (an iterator) is; at the end of the shard from there again
-- mode=echo_get what `get` asks for, to a server that echoes
-- Arguments: stream=NAME bytes=N calls=N (put: stop after about so many calls; 0: do not)
-- Counts `put` (records that have a sequence number), `failed` (records refused), `got` (records read), `wound` (how
-- often the end was reached).
local sqs = require("sqs")

setup = sqs.setup
put, failed, got, wound = 0, 0, 0, 0

local DIFFERENT = 16 -- requests, so that keys differ from one to the next
local SIGNED = "Authorization: AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/kinesis/aws4_request, "
  .. "SignedHeaders=content-type;host;x-amz-date;x-amz-target, "
  .. "Signature=0000000000000000000000000000000000000000000000000000000000000000\r\n"
  .. "X-Amz-Date: 20260101T000000Z\r\n"

local function post(action, body)
  return "POST / HTTP/1.1\r\nHost: " .. wrk.host .. ":" .. wrk.port
    .. "\r\nContent-Type: application/x-amz-json-1.1\r\nX-Amz-Target: Kinesis_20131202." .. action
    .. "\r\n" .. SIGNED .. "Content-Length: " .. #body .. "\r\n\r\n" .. body
end

-- Base64 of so many bytes that are all "x".
local function data(bytes)
  return string.rep("eHh4", math.floor(bytes / 3)) .. ({ [0] = "", "eA==", "eHg=" })[bytes % 3]
end

local function entry(key, text)
  return '"Data":"' .. text .. '","PartitionKey":"' .. string.format("key-%05d", key) .. '"'
end

local function in_turn(requests)
  local at = 0
  return function()
    at = at % #requests + 1
    return requests[at]
  end
end

local function limited(options, count)
  local answered = 0
  response = function(status, headers, body)
    count(status, headers, body)
    answered = answered + 1
    if answered == options.calls then
      wrk.thread:stop()
    end
  end
end

local function record(options)
  local requests, text = {}, data(options.bytes)
  for at = 1, DIFFERENT * 16 do
    requests[at] = post("PutRecord", '{"StreamName":"' .. options.stream .. '",' .. entry(at, text) .. "}")
  end
  request = in_turn(requests)
  limited(options, function(status)
    put = put + (status == 200 and 1 or 0)
  end)
end

local function records(options)
  local requests, text = {}, data(options.bytes)
  for at = 1, DIFFERENT do
    local entries = {}
    for of = 1, options.count do
      entries[of] = "{" .. entry(at * options.count + of, text) .. "}"
    end
    requests[at] = post(
      "PutRecords", '{"StreamName":"' .. options.stream .. '","Records":[' .. table.concat(entries, ",") .. "]}"
    )
  end
  request = in_turn(requests)
  limited(options, function(status, _, body)
    local _, at = body:find('"FailedRecordCount":', 1, true) -- a pattern would take long in an echo
    local refused = tonumber(at and body:match("^%s*(%d+)", at + 1) or 0)
    if status == 200 then
      put = put + options.count - refused
      failed = failed + refused
    end
  end)
end

local function occurrences(body, text)
  local count, at = 0, body:find(text, 1, true)
  while at do
    count = count + 1
    at = body:find(text, at + #text, true)
  end
  return count
end

local function quoted_after(body, name)
  local _, at = body:find(name, 1, true)
  return at and body:match('^%s*"([^"]+)"', at + 1)
end

local function get(options)
  local function ask(iterator)
    return post("GetRecords", '{"ShardIterator":"' .. iterator .. '","Limit":' .. options.limit .. "}")
  end
  local first = ask(options.start)
  local following = {}
  request = function()
    return table.remove(following) or first
  end
  if options.mode == "echo_get" then
    return
  end
  response = function(_, _, body)
    local count = occurrences(body, '"PartitionKey"')
    got = got + count
    local iterator = quoted_after(body, '"NextShardIterator":')
    if count == options.limit and iterator then
      following[#following + 1] = ask(iterator)
    else
      wound = wound + 1
    end
  end
end

function init(args)
  local options = sqs.options(args)
  local modes = { record = record, records = records, get = get, echo_get = get }
  modes[options.mode](options)
end

function done(summary, latency)
  sqs.done(summary, latency, { "put", "failed", "got", "wound" })
end
