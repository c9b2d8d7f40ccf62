-- A claimed message that no worker can run goes to the dead letters.
-- 2 worker, 3 claim id, 4 reason. Returns 1, or 0 if the claim was no longer ours.
-- Stands behind losses.lua.
local held = redis.call('HGET', G .. 'claims:' .. ARGV[2], ARGV[3])
if not held then return 0 end
redis.call('HDEL', G .. 'claims:' .. ARGV[2], ARGV[3])
local part = split(held, 4)
local id = part[4] ~= '' and part[4] or 'sha1-' .. redis.sha1hex(part[5])
bury(id, ARGV[2], ARGV[4], part[1], part[2], part[5])
return 1
