-- A task's process died under a living worker: the task goes back to its queue, or to the dead letters.
-- 2 worker, 3 claim id, 4 reason, 5 the record's field that counts this loss ('': none), 6 at which count it is buried
-- Returns waiting, dead, cancelled, or gone.
-- Stands behind losses.lua.
if redis.call('HEXISTS', G .. 'claims:' .. ARGV[2], ARGV[3]) == 0 then return 'gone' end
local cause = ARGV[5] == 'gpu_losses' and 'gpu_failed' or 'process_died'
return lose(ARGV[2], ARGV[3], cause, ARGV[4], ARGV[5], tonumber(ARGV[6]))
