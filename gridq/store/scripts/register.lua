-- Become the holder of a worker's name, with a new lease. What the former holder held goes back to its queues.
-- 2 worker, 3 token, 4 lease in ms, 5 lock, 6 limit of losses (0: it is the same process again, nothing is counted),
-- 7 node, 8… priority suffixes
-- Returns {epoch, tasks back, tasks buried, what drain_left says},
-- or {false, node's lock, ms until the living holder's lease ends}.
-- Stands behind losses.lua.
even_if_full()
local worker, now = ARGV[2], now_ms()
local holder = redis.call('HGET', G .. 'holders', worker)
if holder and lease_ends(worker) > now then
  local part = split(holder, 1)
  -- Whoever holds the same lock file knows that the former holder is dead.
  if part[1] ~= ARGV[3] and part[2] ~= ARGV[5] then return {false, part[2], lease_ends(worker) - now} end
end
local suffixes = {}
for i = 8, #ARGV do suffixes[#suffixes + 1] = ARGV[i] end
local limit = tonumber(ARGV[6])
local counter = limit > 0 and 'losses' or ''
local back, dead = 0, 0
-- Without a holder Redis forgot, and what is claimed under the name was said again since, by whoever runs it.
if holder then
  back, dead = take_all(worker, 'worker_restarted', worker .. ' was lost and started again', counter, limit, suffixes)
end
redis.call('HSET', G .. 'holders', worker, ARGV[3] .. '\n' .. ARGV[5])
redis.call('ZADD', G .. 'leases', now + tonumber(ARGV[4]), worker)
-- With the time, since the same holder may be the first one to come back after a loss of memory.
redis.call('SETNX', G .. 'epoch', ARGV[3] .. ':' .. string.format('%.0f', now))
return {redis.call('GET', G .. 'epoch'), back, dead, drain_left(worker, ARGV[7], now)}
