-- Whose turn it is to take the fleet's sample: of all who ask in an interval of Redis' clock, the first.
-- 2 interval in ms
-- Returns {1 if it is the asker's turn, else 0; ms until the next interval begins}.
-- Stands behind shared.lua.
local now, interval = now_ms(), tonumber(ARGV[2])
local current = string.format('%.0f', math.floor(now / interval))
local left = interval - now % interval
if redis.call('GET', G .. 'sampled') == current then return {0, left} end
redis.call('SET', G .. 'sampled', current, 'PX', 2 * interval)
return {1, left}
