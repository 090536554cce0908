-- Publish, or PublishBatch of 10, over Query. Arguments: topic=ARN action=one|batch bytes=N tenant=TEXT
-- (tenant: a message attribute that filters go by).
local sqs = require("sqs")

setup = sqs.setup

local SIGNED = "Authorization: AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/sns/aws4_request, "
  .. "SignedHeaders=content-type;host;x-amz-date, "
  .. "Signature=0000000000000000000000000000000000000000000000000000000000000000\r\n"
  .. "X-Amz-Date: 20260101T000000Z\r\n"

local function post(body)
  return "POST / HTTP/1.1\r\nHost: " .. wrk.host .. ":" .. wrk.port
    .. "\r\nContent-Type: application/x-www-form-urlencoded\r\n" .. SIGNED
    .. "Content-Length: " .. #body .. "\r\n\r\n" .. body
end

local function message(prefix, options)
  local text = prefix .. "Message=" .. string.rep("x", options.bytes)
  if options.tenant then
    local attribute = prefix .. "MessageAttributes.entry.1."
    text = text .. "&" .. attribute .. "Name=tenant&" .. attribute .. "Value.DataType=String&"
      .. attribute .. "Value.StringValue=" .. options.tenant
  end
  return text
end

function init(args)
  local options = sqs.options(args)
  local topic = "&Version=2010-03-31&TopicArn=" .. options.topic
  local whole
  if options.action == "batch" then
    local entries = {}
    for i = 1, 10 do
      local prefix = "PublishBatchRequestEntries.member." .. i .. "."
      entries[i] = prefix .. "Id=e" .. i .. "&" .. message(prefix, options)
    end
    whole = post("Action=PublishBatch" .. topic .. "&" .. table.concat(entries, "&"))
  else
    whole = post("Action=Publish" .. topic .. "&" .. message("", options))
  end
  request = function() return whole end
end

function done(summary, latency)
  sqs.done(summary, latency, {})
end
