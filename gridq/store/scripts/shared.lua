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

-- A message's task id. kombu writes the properties last and a base64 body holds no quote, so the tail is looked at first.
local function task_id(raw)
  local pattern = '"correlation_id": ?"([^"]+)"'
  return string.match(string.sub(raw, -1024), pattern) or string.match(raw, pattern) or ''
end

local function decode(raw)
  local fine, message = pcall(cjson.decode, raw)
  return fine and type(message) == 'table' and message or {}
end

-- Bytes that a message asks for; `otherwise` for a message without gridq's header.
local function bytes_needed(message, otherwise)
  local headers = type(message.headers) == 'table' and message.headers or {}
  local needs = type(headers.gridq) == 'table' and headers.gridq or {}
  return tonumber(needs.vram) or otherwise
end

-- The shared queue that a message was sent to, which a placement on a worker's own queue does not change.
local function home_queue(message)
  local properties = type(message.properties) == 'table' and message.properties or {}
  local info = type(properties.delivery_info) == 'table' and properties.delivery_info or {}
  return type(info.routing_key) == 'string' and info.routing_key or nil
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

-- Back from a worker to where the message belongs: its shared queue, or the worker's own if its caller pinned it there.
local function give_back(queue, suffix, raw)
  local message = decode(raw)
  local home = home_queue(message) or queue
  push(home, suffix, bytes_needed(message, 0), raw, true)
  return home
end
