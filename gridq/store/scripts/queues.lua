-- How many messages wait in queues, and for how long the first in line has waited.
-- 2 number of priority suffixes, 3… the suffixes, then the queues' names
-- Returns for each queue: its messages of all priorities, and the age in ms of the one that has waited longest among the
-- heads of its lists; -1 where no head has a record.
-- Stands behind shared.lua.
local first, now, found = 3 + tonumber(ARGV[2]), now_ms(), {}

local function age_of(raw)
  local id = facts_of(raw)
  local since = id ~= '' and redis.call('HGET', G .. 'task:' .. id, 'waiting_at')
  return since and math.max(0, now - tonumber(since)) or -1
end

for q = first, #ARGV do
  local waiting, oldest = 0, -1
  for s = 3, first - 1 do
    local key = P .. ARGV[q] .. ARGV[s]
    local length = redis.call('LLEN', key)
    if length > 0 then
      waiting = waiting + length
      oldest = math.max(oldest, age_of(redis.call('LINDEX', key, -1)))
    end
  end
  found[#found + 1] = waiting
  found[#found + 1] = oldest
end
return found
