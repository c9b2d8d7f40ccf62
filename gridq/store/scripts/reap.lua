-- Take back what workers held whose lease has ended. Cheap when there is none.
-- 2 limit of losses, 3 lease in ms, 4… priority suffixes. Returns worker, tasks back, tasks buried, for each worker.
-- Stands behind losses.lua.
even_if_full()
local AT_ONCE, GAP_MS = 8, 5000
local now, reaped, suffixes = now_ms(), {}, {}
for i = 4, #ARGV do suffixes[#suffixes + 1] = ARGV[i] end

-- Every worker reaps every second. When nobody did for long, Redis was away or its clock was set: then no holder could
-- renew, and each gets one more lease to come back in.
local last = tonumber(redis.call('GET', G .. 'reaped') or now)
redis.call('SET', G .. 'reaped', string.format('%.0f', now))
if now - last > GAP_MS then
  for _, worker in ipairs(redis.call('ZRANGEBYSCORE', G .. 'leases', '-inf', now)) do
    redis.call('ZADD', G .. 'leases', now + tonumber(ARGV[3]), worker)
  end
  return reaped
end

for _, worker in ipairs(redis.call('ZRANGEBYSCORE', G .. 'leases', '-inf', now, 'LIMIT', 0, AT_ONCE)) do
  local back, dead = take_all(worker, 'lease_expired', worker .. ' was lost: its lease ended', 'losses', tonumber(ARGV[2]), suffixes)
  count('leases_expired')
  redis.call('ZREM', G .. 'leases', worker)
  redis.call('HDEL', G .. 'holders', worker)
  redis.call('HDEL', G .. 'workers', worker)
  reaped[#reaped + 1] = worker
  reaped[#reaped + 1] = back
  reaped[#reaped + 1] = dead
end
return reaped
