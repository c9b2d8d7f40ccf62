-- The heartbeats of all workers whose lease holds: {now in ms, ends, written, heartbeat, ends, written, heartbeat, …}.
-- 2 ms after the end of its lease when a worker is forgotten
local now, found = now_ms(), {}
local all = redis.call('HGETALL', G .. 'workers')
for i = 1, #all, 2 do
  local part = split(all[i + 1], 2)
  local ends = tonumber(part[1])
  if ends > now then
    for j = 1, 3 do found[#found + 1] = part[j] end
  elseif ends + tonumber(ARGV[2]) < now then
    redis.call('HDEL', G .. 'workers', all[i])
  end
end
return {string.format('%.0f', now), found}
