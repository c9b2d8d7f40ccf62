-- Let go of a claim for good and write down how the task ended. Returns 1, or 0 if the claim was no longer ours.
-- 2 worker, 3 claim id, 4 state, 5 reason ('': none), 6 life of the record in ms, 7 consumer to wake ('': none)
local held = redis.call('HGET', G .. 'claims:' .. ARGV[2], ARGV[3])
if not held then return 0 end
redis.call('HDEL', G .. 'claims:' .. ARGV[2], ARGV[3])
if ARGV[7] ~= '' then
  -- A slot is free again while its consumer sleeps.
  wake(ARGV[7])
end
local key = G .. 'task:' .. split(held, 4)[4]
-- A task that retries has put itself back before it lets go: then its record speaks of the new try already.
local facts = redis.call('HMGET', key, 'state', 'claim')
if facts[1] == 'running' and facts[2] == ARGV[3] then
  redis.call('HSET', key, 'state', ARGV[4], 'finished_at', now_ms())
  if ARGV[5] ~= '' then redis.call('HSET', key, 'reason', ARGV[5]) end
  redis.call('HDEL', key, 'cancel')
  redis.call('PEXPIRE', key, tonumber(ARGV[6]))
end
return 1
