-- ReceiveMessage(10) and DeleteMessageBatch(10) of what was received. Arguments: queue=URL groups=N run=TEXT
-- mode=drain  ends early when the queue has run dry
-- mode=steady sends a batch of 10 for every receive, so that the depth stays as it is
-- echo=1      the server echoes: deletes are made up, from handles like `handle=TEXT`
local sqs = require("sqs")

setup = sqs.setup
received, deleted, empty = 0, 0, 0

local DRY = 64 -- empty answers in a row, with nothing left to delete

local deletes, first, last = {}, 1, 0
local dry = 0

local function add(delete)
  last = last + 1
  deletes[last] = delete
end

local function take()
  local delete = deletes[first]
  deletes[first] = nil
  first = first + 1
  return delete
end

local function count_answer(queue, body, drain)
  if body:find('"Messages"', 1, true) then
    local delete, count = sqs.delete(queue, body)
    if delete then
      received = received + count
      dry = 0
      add(delete)
      return
    end
  end
  if body == "{}" or body:find('"Messages"', 1, true) then
    empty = empty + 1
    dry = dry + 1
    if drain and dry >= DRY then
      wrk.thread:stop()
    end
  elseif body:find('"Successful"', 1, true) then
    local _, all = body:gsub('"Id"', "")
    local _, failed = body:gsub('"SenderFault"', "")
    deleted = deleted + all - failed
  end
end

local function made_up_delete(options)
  local answer = {}
  for i = 1, 10 do
    answer[i] = '"ReceiptHandle":"' .. options.handle .. '"'
  end
  return sqs.delete(options.queue, table.concat(answer))
end

-- Requests in turn, as the real cycle has them; the echoed deletes are parsed, as real answers are.
local function echo(options, turns)
  local turn = 0
  request = function()
    turn = turn % #turns + 1
    return turns[turn]()
  end
  response = function(_, _, body)
    if body:find('"ReceiptHandle"', 1, true) then
      local _, count = sqs.delete(options.queue, body)
      received = received + count
    end
  end
end

function init(args)
  local options = sqs.options(args)
  local receive = sqs.receive(options.queue)
  local sender = sqs.sender(options)
  local steady = options.mode == "steady"
  if options.echo then
    local delete = made_up_delete(options)
    local turns = { function() return receive end, function() return delete end }
    if steady then
      table.insert(turns, 1, sender.batch)
    end
    echo(options, turns)
    return
  end
  local sends = false
  request = function()
    if first <= last then
      return take()
    end
    sends = steady and not sends
    return sends and sender.batch() or receive
  end
  response = function(_, _, body)
    count_answer(options.queue, body, not steady)
  end
end

function done(summary, latency)
  sqs.done(summary, latency, { "received", "deleted", "empty" })
end
