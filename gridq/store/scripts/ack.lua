-- Let go of a claim for good and write down how the task ended. Returns 1, or 0 if the claim was no longer ours.
-- 2 worker, 3 claim id, 4 state, 5 reason ('': none), 6 life of the record in ms, 7 consumer to wake ('': none),
-- 8… further fields of the record
-- Stands behind records.lua.
local held = redis.call('HGET', G .. 'claims:' .. ARGV[2], ARGV[3])
if not held then return 0 end
redis.call('HDEL', G .. 'claims:' .. ARGV[2], ARGV[3])
if ARGV[7] ~= '' then
  -- A slot is free again while its consumer sleeps.
  wake(ARGV[7])
end
local id = split(held, 4)[4]
local key, now = G .. 'task:' .. id, now_ms()
-- A task that retries has put itself back before it lets go: then its record speaks of the new try already.
local facts = redis.call('HMGET', key, 'state', 'claim', 'started_at')
if facts[1] == 'running' and facts[2] == ARGV[3] then
  local name = finish(id, ARGV[4], now, tonumber(ARGV[6]), unpack(ARGV, 8))
  if ARGV[5] ~= '' then redis.call('HSET', key, 'reason', ARGV[5]) end
  redis.call('HDEL', key, 'cancel')
  if name and facts[3] then observe('run', name, now - tonumber(facts[3])) end
end
return 1
