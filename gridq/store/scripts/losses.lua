-- How tasks are lost and what becomes of them then, prefixed to every script behind flow.lua.
-- Into the dead letters. Its caller still has to be told.
local function bury(id, worker, reason, queue, suffix, raw)
  local now = now_ms()
  redis.call('ZADD', G .. 'dead', now, id)
  redis.call('HSET', G .. 'dead:messages', id, table.concat({queue, suffix, worker, reason, raw}, '\n'))
  redis.call('SADD', G .. 'dead:untold', id)
  finish(id, 'dead', now, WAITING_LIFE_MS, 'reason', reason)
  count('dead')
end

-- A task that was to be cancelled while it ran does not run again. Returns whether it was such a task.
local function end_cancelled(id)
  local key = G .. 'task:' .. id
  local life = id ~= '' and redis.call('HGET', key, 'cancel')
  if not life then return false end
  redis.call('HDEL', key, 'cancel')
  finish(id, 'cancelled', now_ms(), life, 'reason', 'cancelled')
  redis.call('SADD', G .. 'cancels:untold', id)
  return true
end

-- Whether the task of this claim has published its retry already: then that goes on, and the old message must not.
local function has_moved_on(id, claim)
  local facts = redis.call('HMGET', G .. 'task:' .. id, 'state', 'claim')
  return facts[1] and (facts[1] ~= 'running' or facts[2] ~= claim)
end

-- The holder of a claim is gone: the task goes back to its queue; or to the dead letters if that happened `limit` times,
-- counted by task id in the record's field `counter` ('' does not count). `cause` is what the exporter calls it.
-- Returns 'waiting', 'dead', 'cancelled' or 'gone'.
local function lose(worker, claim, cause, reason, counter, limit)
  local part = split(redis.call('HGET', G .. 'claims:' .. worker, claim), 4)
  redis.call('HDEL', G .. 'claims:' .. worker, claim)
  local id, raw = part[4], part[5]
  if has_moved_on(id, claim) then return 'gone' end
  if end_cancelled(id) then return 'cancelled' end
  if id == '' then id = 'sha1-' .. redis.sha1hex(raw) end
  if counter ~= '' and redis.call('HINCRBY', G .. 'task:' .. id, counter, 1) >= limit then
    bury(id, worker, reason .. ', ' .. limit .. ' times', part[1], part[2], raw)
    return 'dead'
  end
  redis.call('HINCRBY', G .. 'task:' .. id, 'requeues', 1)
  give_back(part[1], part[2], raw)
  enter(id, 'waiting', now_ms(), 'queue', part[1], 'reason', reason)
  count('requeues', cause)
  return 'waiting'
end

-- All that a worker held and that waited for it alone, when it is known to be gone. Returns how many tasks went back to
-- their queues and how many were buried.
local function take_all(worker, cause, reason, counter, limit, suffixes)
  local back, dead = 0, 0
  for _, claim in ipairs(redis.call('HKEYS', G .. 'claims:' .. worker)) do
    if lose(worker, claim, cause, reason, counter, limit) == 'dead' then dead = dead + 1 else back = back + 1 end
  end
  for _, suffix in ipairs(suffixes) do back = back + empty_own_queue(worker, suffix) end
  return back, dead
end

-- Milliseconds until what still runs on a drained worker is ended; -1 if it may go on, -2 if the worker is not drained.
local function drain_left(worker, node, now)
  local left = -2
  for _, ends in ipairs({redis.call('HGET', G .. 'drains', worker) or -1, redis.call('HGET', G .. 'drains', node) or -1}) do
    ends = tonumber(ends)
    if ends > 0 then
      left = left < 0 and math.max(0, ends - now) or math.min(left, math.max(0, ends - now))
    elseif ends == 0 and left == -2 then
      left = -1
    end
  end
  return left
end
