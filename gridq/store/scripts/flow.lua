-- How messages move, prefixed to every script behind records.lua: ready consumers, queues, what is due, what is handed over.
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
  enter_if_known((facts_of(raw)), 'placed', now_ms(), 'queue', worker)
end

local function spread(consumer, facts)
  -- A consumer with slots left goes behind its equals, so that a burst spreads over the GPUs.
  local rank = tonumber(facts[3]) + 1000
  redis.call('HSET', G .. 'consumer:' .. consumer, 'rank', rank)
  for queue in string.gmatch(facts[4], '[^\n]+') do
    redis.call('ZADD', G .. 'ready:' .. queue, 'XX', rank, consumer)
  end
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
      enter(part[4], 'waiting', now, 'due_at', 0)
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
      enter((facts_of(raw)), 'waiting', now_ms(), 'queue', home)
      back = back + 1
    end
  end
  for _, raw in ipairs(pinned) do redis.call('LPUSH', key, raw) end
  return back
end
