-- The heartbeats of all workers whose lease holds, and who was told to drain:
-- {now in ms, {ends, written, heartbeat, ends, written, heartbeat, …}, {worker or node, …}}.
-- Stands behind shared.lua.
local now, found = now_ms(), {}
for _, text in ipairs(redis.call('HVALS', G .. 'workers')) do
  local part = split(text, 2)
  if tonumber(part[1]) > now then
    for j = 1, 3 do found[#found + 1] = part[j] end
  end
end
return {string.format('%.0f', now), found, redis.call('HKEYS', G .. 'drains')}
