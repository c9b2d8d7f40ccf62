-- Renew a worker's lease and write its heartbeat. Returns the end of the lease in ms.
-- 2 worker, 3 lease in ms, 4 heartbeat (JSON), 5… uuid and facts of each of its GPUs
local now = now_ms()
local ends = now + tonumber(ARGV[3])
redis.call('HSET', G .. 'workers', ARGV[2], table.concat({ends, now, ARGV[4]}, '\n'))
for i = 5, #ARGV, 2 do redis.call('HSET', G .. 'gpus', ARGV[i], ARGV[i + 1]) end
return ends
