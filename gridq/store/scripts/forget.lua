-- A worker stopped: it gives its lease back, unless its name has a new holder. What it still held goes back, uncounted.
-- 2 worker, 3 token, 4… priority suffixes. Returns 1 if the lease was this holder's.
-- Stands behind losses.lua.
local worker, suffixes = ARGV[2], {}
local holder = redis.call('HGET', G .. 'holders', worker)
if not holder or split(holder, 1)[1] ~= ARGV[3] then return 0 end
for i = 4, #ARGV do suffixes[#suffixes + 1] = ARGV[i] end
take_all(worker, 'worker_stopped', worker .. ' was stopped', '', 0, suffixes)
redis.call('ZREM', G .. 'leases', worker)
redis.call('HDEL', G .. 'holders', worker)
redis.call('HDEL', G .. 'workers', worker)
return 1
