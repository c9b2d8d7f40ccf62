-- Take one message and write down who holds it, in one step; or, finding none, count as ready.
-- 2 worker, 3 consumer id, 4 claim id, 5 own queue, 6 rank, 7 free slots, 8 free bytes, 9 token of the worker's lease
-- ('': not looked at), 10 number of priority suffixes,
-- 11… the suffixes, then per queue: its name, '1' if each message must be checked against the free bytes, and the bytes
-- that a message without gridq's header is taken to need there.
-- Returns {home queue, message, number of constrained queues, how often the task was requeued, its suffix, how often it
-- was claimed},
-- or {false, ms until the next delayed message or -1, the same number}.
-- Stands behind flow.lua.
even_if_full()
local worker, consumer, claim, own = ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local rank, slots, free = tonumber(ARGV[6]), ARGV[7], tonumber(ARGV[8])
local token, first = ARGV[9], 11 + tonumber(ARGV[10])
-- How many messages of a list are looked at for one that fits: what is further back waits for these to move.
local LOOK_AT = 512
local now = now_ms()

-- Nobody would ever take back what a worker without a lease holds; and the name may have another holder by now.
local holder = redis.call('HGET', G .. 'holders', worker)
local ours = holder and (token == '' or split(holder, 1)[1] == token)
local attached = redis.call('GET', G .. 'attached:' .. worker)
ours = ours and (not attached or attached == consumer)
if not ours or lease_ends(worker) <= now then return {false, -1, redis.call('SCARD', G .. 'constrained')} end
local due = promote(now)

-- Whether someone lighter than this worker is ready for the queue: then what a stock producer pushed without waking
-- anyone is handed to him, and the lightest GPU gets it all the same.
local function lighter_is_ready(queue)
  -- Among CPU workers it does not matter who.
  if queue == own or string.sub(queue, 1, 3) ~= 'gpu' then return false end
  return #redis.call('ZRANGEBYSCORE', G .. 'ready:' .. queue, '-inf', '(' .. rank, 'LIMIT', 0, 1) > 0
end

-- The oldest message that fits and that nobody lighter takes. What was placed on this worker's own queue but no longer
-- fits goes back to its shared queue.
local function search(queue, suffix, checked, otherwise)
  local key, at = P .. queue .. suffix, 1
  while at <= LOOK_AT do
    local raw = redis.call('LINDEX', key, -at)
    if not raw then return nil end
    local bytes = bytes_needed(raw, otherwise)
    if checked and bytes > free then
      local home = queue == own and home_of(own, raw) or queue
      if home ~= queue then
        redis.call('LREM', key, -1, raw)
        give_back(home, suffix, raw)
        enter((facts_of(raw)), 'waiting', now, 'queue', home)
      else
        at = at + 1
      end
    else
      redis.call('LREM', key, -1, raw)
      local lighter = lighter_is_ready(queue) and take_ready(queue, bytes, rank)
      if not lighter then return raw end
      -- Into its own queue, or whoever looks next would be quicker than it wakes up.
      hand_over(queue, suffix, string.match(lighter, '^(.*):'), raw)
    end
  end
end

local function take(queue, suffix, checked, otherwise)
  local key = P .. queue .. suffix
  if redis.call('EXISTS', key) == 0 then return nil end
  if checked or lighter_is_ready(queue) then return search(queue, suffix, checked, otherwise) end
  return redis.call('RPOP', key)
end

-- Write down in the task's record that it runs here. A stock producer keeps no record, so its tasks get one.
-- Returns how often it was requeued and how often claimed, this time included.
local function record_claim(id, raw)
  if id == '' then return 0, 0 end
  local key = G .. 'task:' .. id
  local facts = redis.call('HMGET', key, 'name', 'waiting_at', 'requeues')
  local name, waiting_at = facts[1], facts[2]
  if not name and redis.call('EXISTS', key) == 0 then
    local headers = decode(raw).headers
    name = type(headers) == 'table' and headers.task
    if type(name) ~= 'string' then return 0, 0 end
    redis.call('HSET', key, 'name', name, 'message', raw)
    count('submitted', label(name))
  end
  local attempts = redis.call('HINCRBY', key, 'attempts', 1)
  enter(id, 'running', now, 'worker', worker, 'claim', claim, 'started_at', now)
  if name and waiting_at then observe('wait', label(name), now - tonumber(waiting_at)) end
  return tonumber(facts[3] or 0), attempts
end

for s = 11, first - 1 do
  for q = first, #ARGV, 3 do
    local raw = take(ARGV[q], ARGV[s], ARGV[q + 1] == '1', tonumber(ARGV[q + 2]))
    if raw then
      local id, home = (facts_of(raw)), ARGV[q]
      if home == own then
        home = home_of(own, raw)
        redis.call('HDEL', G .. 'homes', redis.sha1hex(raw))
      end
      redis.call('HSET', G .. 'claims:' .. worker, claim, table.concat({home, ARGV[s], now, id, raw}, '\n'))
      redis.call('DEL', G .. 'consumer:' .. consumer)
      count('claims')
      local requeues, attempts = record_claim(id, raw)
      return {home, raw, redis.call('SCARD', G .. 'constrained'), requeues, ARGV[s], attempts}
    end
  end
end

local queues = {}
for q = first, #ARGV, 3 do queues[#queues + 1] = ARGV[q] end
local key, names = G .. 'consumer:' .. consumer, table.concat(queues, '\n')
-- The sets of ready consumers last an hour, and a consumer may nap for longer: it says so anew now and then.
local lately = string.format('%.0f', math.floor(now / 600000))
local known = redis.call('HMGET', key, 'slots', 'free', 'rank', 'queues', 'lately')
if known[1] ~= slots or known[2] ~= ARGV[8] or known[3] ~= ARGV[6] or known[4] ~= names or known[5] ~= lately then
  redis.call('HSET', key, 'slots', slots, 'free', ARGV[8], 'rank', ARGV[6], 'queues', names, 'lately', lately)
  for _, queue in ipairs(queues) do
    redis.call('ZADD', G .. 'ready:' .. queue, rank, consumer)
    redis.call('PEXPIRE', G .. 'ready:' .. queue, READY_LIFE_MS)
  end
end
redis.call('PEXPIRE', key, CONSUMER_LIFE_MS)
return {false, due and math.max(0, tonumber(due) - now) or -1, redis.call('SCARD', G .. 'constrained')}
