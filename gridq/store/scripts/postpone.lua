-- A claimed message that is not due yet (a stock producer's eta) waits in Redis instead of in a worker.
-- 2 worker, 3 claim id, 4 delay in ms. Returns 1, or 0 if the claim was no longer ours.
-- Stands behind flow.lua.
local key = G .. 'claims:' .. ARGV[2]
local held = redis.call('HGET', key, ARGV[3])
if not held then return 0 end
redis.call('HDEL', key, ARGV[3])
local part = split(held, 4)
local due = now_ms() + tonumber(ARGV[4])
local id = ARGV[3] .. ':' .. part[4]
delay(id, due, part[1], part[2], bytes_needed(part[5], 0), part[4], part[5])
if redis.call('EXISTS', G .. 'task:' .. part[4]) == 1 then
  redis.call('HINCRBY', G .. 'task:' .. part[4], 'attempts', -1)
  enter(part[4], 'delayed', due - tonumber(ARGV[4]), 'queue', part[1], 'due_at', due, 'delayed', id)
end
return 1
