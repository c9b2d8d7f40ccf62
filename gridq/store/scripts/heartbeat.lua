-- Renew a worker's lease and write its heartbeat.
-- 2 worker, 3 token, 4 lease in ms, 5 heartbeat (JSON), 6 node, 7… key and facts of each of its GPUs
-- Returns {1, epoch, what drain_left says}; or {0, epoch} if the lease is no longer this holder's, when nothing is written.
even_if_full()
local worker, now = ARGV[2], now_ms()
local epoch = redis.call('GET', G .. 'epoch') or ''
local holder = redis.call('HGET', G .. 'holders', worker)
if not holder or split(holder, 1)[1] ~= ARGV[3] or lease_ends(worker) <= now then return {0, epoch} end
local ends = now + tonumber(ARGV[4])
redis.call('ZADD', G .. 'leases', ends, worker)
redis.call('HSET', G .. 'workers', worker, table.concat({ends, now, ARGV[5]}, '\n'))
for i = 7, #ARGV, 2 do redis.call('HSET', G .. 'gpus', ARGV[i], ARGV[i + 1]) end
return {1, epoch, drain_left(worker, ARGV[6], now)}
