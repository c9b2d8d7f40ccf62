-- Cancel tasks: what waits, is placed or is delayed ends now; what runs is marked, so that it does not run again.
-- 2 life of a cancelled task's record in ms, 3 '1' if what runs is to be ended too, 4 number of priority suffixes,
-- 5… the suffixes, then task ids
-- Returns for each id: the state that it was in ('unknown': no record), '1' if it is cancelled by this, its worker,
-- its message.
-- Stands behind records.lua.
local life, first, found = tonumber(ARGV[2]), 5 + tonumber(ARGV[4]), {}

local function remove_delayed(id, delayed)
  local held = delayed and redis.call('HGET', G .. 'delayed:messages', delayed)
  if not held or split(held, 4)[4] ~= id then return false end
  redis.call('HDEL', G .. 'delayed:messages', delayed)
  return redis.call('ZREM', G .. 'delayed', delayed) > 0
end

local function remove_waiting(raw, queue)
  for s = 5, first - 1 do
    if redis.call('LREM', P .. queue .. ARGV[s], -1, raw) > 0 then
      redis.call('HDEL', G .. 'homes', redis.sha1hex(raw))
      return true
    end
  end
  return false
end

local function remove(id, facts)
  local raw = facts[3]
  if not raw then return false end
  if facts[1] == 'delayed' then return remove_delayed(id, facts[5]) or remove_delayed(id, facts[6]) end
  if facts[1] ~= 'waiting' and facts[1] ~= 'placed' then return false end
  return remove_waiting(raw, facts[2])
end

for i = first, #ARGV do
  local id, key = ARGV[i], G .. 'task:' .. ARGV[i]
  local facts = redis.call('HMGET', key, 'state', 'queue', 'message', 'worker', 'put', 'delayed')
  local ended = remove(id, facts)
  if ended then
    finish(id, 'cancelled', now_ms(), life, 'reason', 'cancelled before it began')
    redis.call('SADD', G .. 'cancels:untold', id)
  elseif facts[1] == 'running' and ARGV[3] == '1' then
    redis.call('HSET', key, 'cancel', life)
  end
  for _, text in ipairs({facts[1] or 'unknown', ended and '1' or '0', facts[4] or '', facts[3] or ''}) do
    found[#found + 1] = text
  end
end
return found
