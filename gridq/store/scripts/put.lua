-- Publish one task: to the first candidate that is ready now, else to the shared queue. Returns the queue it went to.
-- 2 message, 3 shared queue, 4 priority suffix, 5 bytes needed, 6 candidates (newline-separated worker names),
-- 7 delay in ms (0: none), 8 delivery id, 9 '1' if workers must be told of the queue, 10 task id,
-- 11 microseconds that the router took ('': it did not decide), 12… fields of the task's record
-- Stands behind flow.lua.
local raw, queue, suffix, bytes, id = ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5]), ARGV[10]
local now = now_ms()

-- How many of the messages before its last one are remembered of a task that retries.
local MOST_BEFORE = 4

-- A publisher whose connection broke cannot know whether its message arrived, and sends it again. Meanwhile the task may
-- have run, and sent a retry of its own.
local facts = redis.call('HMGET', G .. 'task:' .. id, 'put', 'queue', 'state', 'put_before')
local before = facts[4] or ''
if facts[1] == ARGV[8] or string.find('\n' .. before, '\n' .. ARGV[8] .. '\n', 1, true) then
  -- Something is written all the same, so that a confirmation that is waited for comes after the first try.
  redis.call('PEXPIRE', G .. 'task:' .. id, WAITING_LIFE_MS)
  return facts[2]
end

-- The ids of those messages, a line each: the first, which somebody else has sent than its retries, and the latest.
local function before_this()
  local ids = {}
  for line in string.gmatch(before .. (facts[1] and facts[1] .. '\n' or ''), '[^\n]+\n') do ids[#ids + 1] = line end
  if #ids > MOST_BEFORE then table.remove(ids, 2) end
  return table.concat(ids)
end

local function keep(state, ...)
  local key, again, said, name = G .. 'task:' .. id, facts[3] == 'running', {...}, nil
  -- A task that retries keeps what was counted; one whose id is used again after its end begins anew.
  if facts[3] and not again then
    redis.call('DEL', key)
    redis.call('ZREM', G .. 'tasks:' .. facts[3], id)
  end
  for i = 12, #ARGV, 2 do
    if ARGV[i] == 'name' then name = ARGV[i + 1] end
    said[#said + 1] = ARGV[i]
    said[#said + 1] = ARGV[i + 1]
  end
  if again then
    enter(id, state, now, 'message', raw, 'put', ARGV[8], 'put_before', before_this(), unpack(said))
    redis.call('HSETNX', key, 'submitted_at', now)
    redis.call('HDEL', key, 'requeues', 'reason', 'finished_at')
  else
    enter(id, state, now, 'message', raw, 'put', ARGV[8], 'submitted_at', now, unpack(said))
  end
  if name then count(again and 'retried' or 'submitted', label(name)) end
  if ARGV[11] ~= '' then observe('decision', '', tonumber(ARGV[11])) end
end

if ARGV[9] == '1' then redis.call('SADD', G .. 'constrained', queue) end

local wait = tonumber(ARGV[7])
if wait > 0 then
  keep('delayed', 'queue', queue, 'waiting_at', now, 'due_at', now + wait)
  delay(ARGV[8], now + wait, queue, suffix, ARGV[5], id, raw)
  nudge(queue)
  return queue
end

for worker in string.gmatch(ARGV[6], '[^\n]+') do
  if take_ready(worker, bytes) then
    keep('placed', 'queue', worker, 'placed_at', now)
    redis.call('LPUSH', P .. worker .. suffix, raw)
    return worker
  end
end
keep('waiting', 'queue', queue)
push(queue, suffix, bytes, raw)
return queue
