-- Take one message and write down who holds it, in one step; or, finding none, count as ready.
-- 2 worker, 3 consumer id, 4 claim id, 5 own queue, 6 rank, 7 free slots, 8 free bytes, 9 number of priority suffixes,
-- 10… the suffixes, then per queue: its name, '1' if each message must be checked against the free bytes, and the bytes
-- that a message without gridq's header is taken to need there.
-- Returns {queue, message, number of constrained queues}, or {false, ms until the next delayed message or -1, the same number}.
local worker, consumer, claim, own = ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local rank, slots, free = tonumber(ARGV[6]), ARGV[7], tonumber(ARGV[8])
local first = 10 + tonumber(ARGV[9])
-- How many messages of a list are looked at for one that fits: what is further back waits for these to move.
local LOOK_AT = 128
local now = now_ms()
local due = promote(now)

-- Whether someone lighter than this worker is ready for the queue: then what a stock producer pushed without waking
-- anyone is handed to him, and the lightest GPU gets it all the same.
local function lighter_is_ready(queue)
  return queue ~= own and #redis.call('ZRANGEBYSCORE', G .. 'ready:' .. queue, '-inf', '(' .. rank, 'LIMIT', 0, 1) > 0
end

-- The oldest message that fits and that nobody lighter takes. What was placed on this worker's own queue but no longer
-- fits goes back to its shared queue.
local function search(queue, suffix, checked, otherwise)
  local key, at = P .. queue .. suffix, 1
  while at <= LOOK_AT do
    local raw = redis.call('LINDEX', key, -at)
    if not raw then return nil end
    local message = decode(raw)
    local bytes = bytes_needed(message, otherwise)
    if checked and bytes > free then
      if queue == own and home_queue(message) ~= own then
        redis.call('LREM', key, -1, raw)
        record(task_id(raw), 'state', 'waiting', 'queue', give_back(own, suffix, raw))
      else
        at = at + 1
      end
    else
      redis.call('LREM', key, -1, raw)
      local lighter = queue ~= own and take_ready(queue, bytes, rank)
      if not lighter then return raw end
      -- Into its own queue, or whoever looks next would be quicker than it wakes up.
      redis.call('LPUSH', P .. string.match(lighter, '^(.*):') .. suffix, raw)
    end
  end
end

local function take(queue, suffix, checked, otherwise)
  local key = P .. queue .. suffix
  if redis.call('EXISTS', key) == 0 then return nil end
  if checked or lighter_is_ready(queue) then return search(queue, suffix, checked, otherwise) end
  return redis.call('RPOP', key)
end

-- A stock producer keeps no record, so its tasks get one here.
local function record_claim(id, raw)
  if id == '' then return end
  if redis.call('EXISTS', G .. 'task:' .. id) == 0 then
    local headers = decode(raw).headers
    local name = type(headers) == 'table' and headers.task
    if type(name) ~= 'string' then return end
    redis.call('HSET', G .. 'task:' .. id, 'name', name, 'message', raw)
  end
  redis.call('HINCRBY', G .. 'task:' .. id, 'attempts', 1)
  record(id, 'state', 'running', 'worker', worker, 'claim', claim, 'started_at', now)
end

for s = 10, first - 1 do
  for q = first, #ARGV, 3 do
    local raw = take(ARGV[q], ARGV[s], ARGV[q + 1] == '1', tonumber(ARGV[q + 2]))
    if raw then
      local id = task_id(raw)
      redis.call('HSET', G .. 'claims:' .. worker, claim, table.concat({ARGV[q], ARGV[s], now, id, raw}, '\n'))
      redis.call('DEL', G .. 'consumer:' .. consumer)
      record_claim(id, raw)
      return {ARGV[q], raw, redis.call('SCARD', G .. 'constrained')}
    end
  end
end

local queues = {}
for q = first, #ARGV, 3 do queues[#queues + 1] = ARGV[q] end
local key, names = G .. 'consumer:' .. consumer, table.concat(queues, '\n')
local known = redis.call('HMGET', key, 'slots', 'free', 'rank', 'queues')
if known[1] ~= slots or known[2] ~= ARGV[8] or known[3] ~= ARGV[6] or known[4] ~= names then
  redis.call('HSET', key, 'slots', slots, 'free', ARGV[8], 'rank', ARGV[6], 'queues', names)
  for _, queue in ipairs(queues) do
    redis.call('ZADD', G .. 'ready:' .. queue, rank, consumer)
    redis.call('PEXPIRE', G .. 'ready:' .. queue, READY_LIFE_MS)
  end
end
redis.call('PEXPIRE', key, CONSUMER_LIFE_MS)
return {false, due and math.max(0, tonumber(due) - now) or -1, redis.call('SCARD', G .. 'constrained')}
