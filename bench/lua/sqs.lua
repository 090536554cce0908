-- What the scripts beside this one share: SQS requests as SDKs send them, counts per thread, the summary as JSON.

local sqs = {}

-- A request's text. Signed as an SDK's is, so that the server has the headers to read; the signature is made up.
local SIGNED = "Authorization: AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/sqs/aws4_request, "
  .. "SignedHeaders=content-type;host;x-amz-date;x-amz-target, "
  .. "Signature=0000000000000000000000000000000000000000000000000000000000000000\r\n"
  .. "X-Amz-Date: 20260101T000000Z\r\n"

function sqs.request(action, body)
  return "POST / HTTP/1.1\r\nHost: " .. wrk.host .. ":" .. wrk.port
    .. "\r\nContent-Type: application/x-amz-json-1.0\r\nX-Amz-Target: AmazonSQS." .. action
    .. "\r\n" .. SIGNED .. "Content-Length: " .. #body .. "\r\n\r\n" .. body
end

-- A counter that no other thread and no other run gives: "RRRRRRRRRR-TT-0000000000".
function sqs.unique(run, thread)
  local count = 0
  local prefix = run .. "-" .. thread .. "-"
  return function()
    count = count + 1
    return string.format("%s%010d", prefix, count)
  end
end

function sqs.message(body, group, unique)
  if group == nil then
    return string.format('"MessageBody":"%s"', body)
  end
  return string.format('"MessageBody":"%s","MessageGroupId":"g%06d","MessageDeduplicationId":"%s"', body, group, unique)
end

-- `groups` 0 is a standard queue; otherwise groups are taken in turn, each thread starting at its own.
function sqs.sender(options)
  local unique = sqs.unique(options.run, options.thread)
  local body = string.rep("x", options.bytes)
  local group = options.thread * 7919
  local sender = {}

  local function message()
    if options.groups == 0 then
      return sqs.message(body)
    end
    group = (group + 1) % options.groups
    return sqs.message(body, group, unique())
  end

  function sender.one()
    return sqs.request("SendMessage", '{"QueueUrl":"' .. options.queue .. '",' .. message() .. "}")
  end

  function sender.batch()
    local entries = {}
    for i = 1, 10 do
      entries[i] = '{"Id":"e' .. i .. '",' .. message() .. "}"
    end
    return sqs.request(
      "SendMessageBatch", '{"QueueUrl":"' .. options.queue .. '","Entries":[' .. table.concat(entries, ",") .. "]}"
    )
  end

  if options.groups == 0 then -- nothing differs from one request to the next
    local one, batch = sender.one(), sender.batch()
    sender.one = function() return one end
    sender.batch = function() return batch end
  end
  return sender
end

function sqs.receive(queue)
  return sqs.request("ReceiveMessage", '{"QueueUrl":"' .. queue .. '","MaxNumberOfMessages":10}')
end

-- The delete for the receipt handles in a ReceiveMessage answer and how many there are; nil and 0 without any.
function sqs.delete(queue, answer)
  local entries, count = {}, 0
  for handle in answer:gmatch('"ReceiptHandle":%s*"([^"]+)"') do
    count = count + 1
    entries[count] = '{"Id":"e' .. count .. '","ReceiptHandle":"' .. handle .. '"}'
  end
  if count == 0 then
    return nil, 0
  end
  return sqs.request(
    "DeleteMessageBatch", '{"QueueUrl":"' .. queue .. '","Entries":[' .. table.concat(entries, ",") .. "]}"
  ), count
end

-- Script arguments as `name=value`.
function sqs.options(args)
  local options = { groups = 0, bytes = 200, run = "0", thread = thread_number or 0 }
  for _, arg in ipairs(args) do
    local name, value = arg:match("^(%w+)=(.*)$")
    options[name] = tonumber(value) or value
  end
  options.run = tostring(options.run)
  return options
end

local threads = {}

function sqs.setup(thread)
  thread:set("thread_number", #threads)
  threads[#threads + 1] = thread
end

-- One line of JSON: what wrk measured, and the sums of the named thread globals.
function sqs.done(summary, latency, counters)
  local fields = {
    string.format('"requests":%d,"duration_us":%d', summary.requests, summary.duration),
    string.format('"p50_us":%d,"p99_us":%d,"max_us":%d', latency:percentile(50), latency:percentile(99), latency.max),
    string.format('"error_statuses":%d', summary.errors.status),
    string.format(
      '"broken":%d',
      summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout
    ),
  }
  for _, name in ipairs(counters) do
    local sum = 0
    for _, thread in ipairs(threads) do
      sum = sum + (tonumber(thread:get(name)) or 0)
    end
    fields[#fields + 1] = string.format('"%s":%d', name, sum)
  end
  print("RESULT {" .. table.concat(fields, ",") .. "}")
end

return sqs
