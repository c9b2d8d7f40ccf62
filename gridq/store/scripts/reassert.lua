-- A worker with a new connection says what it holds: a server that lost its memory, or its last second, is told again.
-- 2 worker, 3 token of its lease, then per claim: claim id, queue, suffix, task id, message
-- Returns the claims that are no longer this worker's.
-- Stands behind records.lua.
local REASSERTED_MS = 60000
even_if_full()
local worker, gone, now = ARGV[2], {}, now_ms()
local holder = redis.call('HGET', G .. 'holders', worker)
-- Without its memory the server knows no holder; with another one, nothing is this worker's any more.
local ours = not holder or split(holder, 1)[1] == ARGV[3]
-- Should it die before it registers again, what it holds is reaped all the same.
if not holder then redis.call('ZADD', G .. 'leases', 'NX', now + REASSERTED_MS, worker) end
for i = 4, #ARGV, 5 do
  local claim, queue, suffix, id, raw = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4]
  if redis.call('HEXISTS', G .. 'claims:' .. worker, claim) == 0 then
    local facts = redis.call('HMGET', G .. 'task:' .. id, 'state', 'claim')
    local waits = ours and redis.call('LREM', P .. queue .. suffix, -1, raw) > 0
    waits = ours and redis.call('LREM', P .. worker .. suffix, -1, raw) > 0 or waits
    if not ours then
      gone[#gone + 1] = claim
    elseif waits or not facts[1] or (facts[1] == 'running' and facts[2] == claim) then
      redis.call('HSET', G .. 'claims:' .. worker, claim, table.concat({queue, suffix, now, id, raw}, '\n'))
      enter(id, 'running', now, 'worker', worker, 'claim', claim, 'message', raw)
    else
      gone[#gone + 1] = claim
    end
  end
end
return gone
