-- SendMessage, or SendMessageBatch of 10. Arguments: queue=URL action=one|batch groups=N bytes=N run=TEXT count=N
-- (count: stop after about so many requests).
local sqs = require("sqs")

setup = sqs.setup
answered = 0

function init(args)
  local options = sqs.options(args)
  local sender = sqs.sender(options)
  request = options.action == "batch" and sender.batch or sender.one
  if options.count then
    response = function()
      answered = answered + 1
      if answered >= options.count then
        wrk.thread:stop()
      end
    end
  end
end

function done(summary, latency)
  sqs.done(summary, latency, {})
end
