-- Shared by every script. ARGV[1] is the key prefix of the broker.
local P = ARGV[1]
local G = P .. 'gridq:'
local CONSUMER_LIFE_MS = 3000
local WAKE_LIFE_MS = 10000
local READY_LIFE_MS = 3600000
local WAITING_LIFE_MS = 31 * 86400000
local DUE_AT_ONCE = 64

local function now_ms()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

-- A full server (maxmemory, noeviction) refuses a script whose first write needs memory. What keeps the fleet alive must
-- go on all the same: leases, claims and their ends; what a producer wants to add may be refused. So these begin with a
-- write that needs none.
local function even_if_full()
  redis.call('DEL', G .. 'nothing')
end

-- The first n fields of a newline-separated text, and the rest.
local function split(text, n)
  local parts, from = {}, 1
  for i = 1, n do
    local stop = string.find(text, '\n', from, true)
    parts[i] = string.sub(text, from, stop - 1)
    from = stop + 1
  end
  parts[n + 1] = string.sub(text, from)
  return parts
end

local function decode(raw)
  local fine, message = pcall(cjson.decode, raw)
  return fine and type(message) == 'table' and message or {}
end

-- A message's task id, and the bytes that it asks for (nil: it does not say). What gridq published ends with both, so that
-- a body of a megabyte need not be read for them.
local function facts_of(raw)
  local bytes, id = string.match(string.sub(raw, -512), '"gridq_put": ?"%x+ (%d+) ([^"\\]+)"}}$')
  if id then return id, tonumber(bytes) end
  local message = decode(raw)
  local headers = type(message.headers) == 'table' and message.headers or {}
  local needs = type(headers.gridq) == 'table' and headers.gridq or {}
  local properties = type(message.properties) == 'table' and message.properties or {}
  local id = properties.correlation_id
  return type(id) == 'string' and id or '', tonumber(needs.vram)
end

local function bytes_needed(raw, otherwise)
  local _, bytes = facts_of(raw)
  return bytes or otherwise
end

-- Where a message in a worker's own queue belongs: the list it was handed over from, or the shared queue it was sent to.
-- The own queue itself for what its caller pinned there, and for what does not say.
local function home_of(own, raw)
  local from = redis.call('HGET', G .. 'homes', redis.sha1hex(raw))
  if from then return from end
  local message = decode(raw)
  local properties = type(message.properties) == 'table' and message.properties or {}
  local info = type(properties.delivery_info) == 'table' and properties.delivery_info or {}
  return type(info.routing_key) == 'string' and info.routing_key or own
end

-- From a shared queue into a worker's own. Foreign messages need not name the list that they were in, so it is kept.
local function hand_over(queue, suffix, worker, raw)
  redis.call('HSET', G .. 'homes', redis.sha1hex(raw), queue)
  redis.call('LPUSH', P .. worker .. suffix, raw)
  local key = G .. 'task:' .. facts_of(raw)
  if redis.call('EXISTS', key) == 1 then redis.call('HSET', key, 'state', 'placed', 'queue', worker) end
end

local function spread(consumer, facts)
  -- A consumer with slots left goes behind its equals, so that a burst spreads over the GPUs.
  local rank = tonumber(facts[3]) + 1000
  redis.call('HSET', G .. 'consumer:' .. consumer, 'rank', rank)
  for queue in string.gmatch(facts[4], '[^\n]+') do
    redis.call('ZADD', G .. 'ready:' .. queue, 'XX', rank, consumer)
  end
end

local function wake(consumer)
  redis.call('LPUSH', G .. 'wake:' .. consumer, 1)
  redis.call('PEXPIRE', G .. 'wake:' .. consumer, WAKE_LIFE_MS)
end

-- The lightest ready consumer of the queue that has the bytes free, and its facts; only those of a rank below `below`
-- (nil: any). Forgets those that are gone, or look into other queues by now.
local function find_ready(queue, bytes, below)
  local ready, from = G .. 'ready:' .. queue, 0
  while true do
    local page = redis.call('ZRANGE', ready, from, from + 63, 'WITHSCORES')
    if #page == 0 then return nil end
    for i = 1, #page, 2 do
      local consumer = page[i]
      if below and tonumber(page[i + 1]) >= below then return nil end
      local facts = redis.call('HMGET', G .. 'consumer:' .. consumer, 'slots', 'free', 'rank', 'queues')
      if not facts[1] or not string.find('\n' .. facts[4] .. '\n', '\n' .. queue .. '\n', 1, true) then
        redis.call('ZREM', ready, consumer)
      elseif tonumber(facts[2]) >= bytes then
        return consumer, facts
      else
        from = from + 1
      end
    end
    -- Those forgotten moved the others up; those that stayed were counted in `from`.
  end
end

-- Wake the consumer that find_ready finds, and count one slot of it as taken. Returns its id (worker:…), or false.
local function take_ready(queue, bytes, below)
  local consumer, facts = find_ready(queue, bytes, below)
  if not consumer then return false end
  local key, slots = G .. 'consumer:' .. consumer, tonumber(facts[1]) - 1
  if slots < 1 then
    redis.call('DEL', key)
    redis.call('ZREM', G .. 'ready:' .. queue, consumer)
  else
    redis.call('HINCRBY', key, 'slots', -1)
    redis.call('HSET', key, 'free', string.format('%.0f', tonumber(facts[2]) - bytes))
    spread(consumer, facts)
  end
  wake(consumer)
  return consumer
end

-- Let a ready consumer of the queue look again, though there is nothing to take yet: it learns when something is due.
local function nudge(queue)
  local consumer = find_ready(queue, 0)
  if consumer then wake(consumer) end
end

-- Push to a shared queue and wake whom it fits. `back` puts the message first in line again.
local function push(queue, suffix, bytes, raw, back)
  redis.call(back and 'RPUSH' or 'LPUSH', P .. queue .. suffix, raw)
  return take_ready(queue, bytes)
end

local function record(id, ...)
  if id ~= '' then
    redis.call('HSET', G .. 'task:' .. id, ...)
    redis.call('PEXPIRE', G .. 'task:' .. id, WAITING_LIFE_MS)
  end
end

-- Move what is due into its queue. Returns when the next one is due (ms), or false.
local function promote(now)
  local due = redis.call('ZRANGEBYSCORE', G .. 'delayed', '-inf', now, 'LIMIT', 0, DUE_AT_ONCE)
  for _, id in ipairs(due) do
    local held = redis.call('HGET', G .. 'delayed:messages', id)
    redis.call('ZREM', G .. 'delayed', id)
    if held then
      redis.call('HDEL', G .. 'delayed:messages', id)
      local part = split(held, 4)
      push(part[1], part[2], tonumber(part[3]), part[5])
      record(part[4], 'state', 'waiting', 'due_at', 0)
    end
  end
  local next = redis.call('ZRANGE', G .. 'delayed', 0, 0, 'WITHSCORES')
  return next[2] or false
end

local function delay(id, due, queue, suffix, bytes, task, raw)
  redis.call('ZADD', G .. 'delayed', due, id)
  redis.call('HSET', G .. 'delayed:messages', id, table.concat({queue, suffix, bytes, task, raw}, '\n'))
end

-- Back to the front of the queue where the message belongs.
local function give_back(home, suffix, raw)
  redis.call('HDEL', G .. 'homes', redis.sha1hex(raw))
  push(home, suffix, bytes_needed(raw, 0), raw, true)
end

-- What waits in a worker's own queue goes back to the shared queues, but for what its caller pinned there.
-- Returns how many messages did.
local function empty_own_queue(own, suffix)
  local key, pinned, back = P .. own .. suffix, {}, 0
  while true do
    local raw = redis.call('RPOP', key)
    if not raw then break end
    local home = home_of(own, raw)
    if home == own then
      pinned[#pinned + 1] = raw
    else
      give_back(home, suffix, raw)
      record((facts_of(raw)), 'state', 'waiting', 'queue', home)
      back = back + 1
    end
  end
  for _, raw in ipairs(pinned) do redis.call('LPUSH', key, raw) end
  return back
end

-- Into the dead letters. Its caller still has to be told.
local function bury(id, worker, reason, queue, suffix, raw)
  local now = now_ms()
  redis.call('ZADD', G .. 'dead', now, id)
  redis.call('HSET', G .. 'dead:messages', id, table.concat({queue, suffix, worker, reason, raw}, '\n'))
  redis.call('SADD', G .. 'dead:untold', id)
  record(id, 'state', 'dead', 'reason', reason, 'finished_at', now)
end

-- A task that was to be cancelled while it ran does not run again. Returns whether it was such a task.
local function end_cancelled(id)
  local key = G .. 'task:' .. id
  local life = id ~= '' and redis.call('HGET', key, 'cancel')
  if not life then return false end
  redis.call('HDEL', key, 'cancel')
  redis.call('HSET', key, 'state', 'cancelled', 'reason', 'cancelled', 'finished_at', now_ms())
  redis.call('PEXPIRE', key, life)
  redis.call('SADD', G .. 'cancels:untold', id)
  return true
end

-- Whether the task of this claim has published its retry already: then that goes on, and the old message must not.
local function has_moved_on(id, claim)
  local facts = redis.call('HMGET', G .. 'task:' .. id, 'state', 'claim')
  return facts[1] and (facts[1] ~= 'running' or facts[2] ~= claim)
end

-- The holder of a claim is gone: the task goes back to its queue; or to the dead letters if that happened `limit` times,
-- counted by task id in the record's field `counter` ('' does not count). Returns 'waiting', 'dead', 'cancelled' or 'gone'.
local function lose(worker, claim, reason, counter, limit)
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
  record(id, 'state', 'waiting', 'queue', part[1], 'reason', reason)
  return 'waiting'
end

-- All that a worker held and that waited for it alone, when it is known to be gone. Returns how many tasks went back to
-- their queues and how many were buried.
local function take_all(worker, reason, counter, limit, suffixes)
  local back, dead = 0, 0
  for _, claim in ipairs(redis.call('HKEYS', G .. 'claims:' .. worker)) do
    if lose(worker, claim, reason, counter, limit) == 'dead' then dead = dead + 1 else back = back + 1 end
  end
  for _, suffix in ipairs(suffixes) do back = back + empty_own_queue(worker, suffix) end
  return back, dead
end

local function lease_ends(worker)
  return tonumber(redis.call('ZSCORE', G .. 'leases', worker) or 0)
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
