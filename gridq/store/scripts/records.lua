-- Task records, prefixed to every script behind shared.lua: the one place where a task's state changes. With it go the index
-- of tasks by state, the time since which a task waits, and what the exporter counts (see store/counters.py).
local WAITING_LIFE_MS = 31 * 86400000
-- Names of tasks are labels of metrics, and must not grow without end: further ones are counted together.
local MOST_NAMES, OTHER_NAMES = 200, '(other)'
local LARGEST_BOUND = 1000000000
local WAITS = {waiting = true, placed = true}

local function count(...)
  redis.call('HINCRBY', G .. 'counters', table.concat({...}, '\n'), 1)
end

-- What a task's name is counted under.
local function label(name)
  local names = G .. 'counters:tasks'
  if redis.call('SISMEMBER', names, name) == 1 then return name end
  if redis.call('SCARD', names) >= MOST_NAMES then return OTHER_NAMES end
  redis.call('SADD', names, name)
  return name
end

-- Count an amount in the histogram of that kind and name. Bounds are 10, 20, 50, 100, … of the kind's unit (wait and run:
-- milliseconds, decision: microseconds); a field holds how many amounts lie between a bound and the one before it.
local function observe(kind, name, amount)
  local bound, step = 10, 0
  while bound < amount and bound < LARGEST_BOUND do
    bound = bound * (step % 3 == 1 and 2.5 or 2)
    step = step + 1
  end
  local field = kind .. '\n' .. name .. '\n'
  redis.call('HINCRBY', G .. 'counters', field .. (amount > bound and 'above' or string.format('%d', bound)), 1)
  redis.call('HINCRBY', G .. 'counters', field .. 'sum', string.format('%.0f', math.max(0, amount)))
end

-- A task's record as it enters a state, kept for `life` ms, and its place in the index. Every task comes by here several
-- times, so its fields are written in one command.
local function write(id, state, now, life, ...)
  local key = G .. 'task:' .. id
  local before = redis.call('HGET', key, 'state')
  if WAITS[state] and not WAITS[before] then
    redis.call('HSET', key, 'state', state, 'waiting_at', now, ...)
  else
    redis.call('HSET', key, 'state', state, ...)
  end
  redis.call('PEXPIRE', key, life)
  if before and before ~= state then redis.call('ZREM', G .. 'tasks:' .. before, id) end
  redis.call('ZADD', G .. 'tasks:' .. state, now, id)
end

-- A task enters a state; further fields of its record follow. Does nothing for a message without an id.
local function enter(id, state, now, ...)
  if id ~= '' then write(id, state, now, WAITING_LIFE_MS, ...) end
end

-- The same for a task of which there is a record already.
local function enter_if_known(id, ...)
  if redis.call('EXISTS', G .. 'task:' .. id) == 1 then enter(id, ...) end
end

-- A task ends for good; its record is kept for `life` ms more. Returns what its name is counted under; nil without one.
local function finish(id, state, now, life, ...)
  if id == '' then return end
  write(id, state, now, life, 'finished_at', now, ...)
  local name = redis.call('HGET', G .. 'task:' .. id, 'name')
  if not name then return end
  name = label(name)
  count('completed', name, state)
  return name
end
