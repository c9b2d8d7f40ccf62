-- Keep the memory of ended tasks bounded: forget those that ended too long ago, and the oldest beyond the limit.
-- 2 life of a record in ms, 3 how many ended tasks of each state are kept, 4 how many to forget at most
-- Returns how many were forgotten; as many as argument 4 says means that there may be more.
-- Stands behind records.lua.
even_if_full()
local now, limit, most, gone = now_ms(), tonumber(ARGV[3]), tonumber(ARGV[4]), 0
for _, state in ipairs({'done', 'failed', 'cancelled', 'dropped'}) do
  local index = G .. 'tasks:' .. state
  -- Records end by themselves; only their places in the index are left.
  redis.call('ZREMRANGEBYSCORE', index, '-inf', now - tonumber(ARGV[2]))
  local over = math.min(most - gone, redis.call('ZCARD', index) - limit)
  if over > 0 then
    local popped = redis.call('ZPOPMIN', index, over)
    for i = 1, #popped, 2 do redis.call('UNLINK', G .. 'task:' .. popped[i]) end
    gone = gone + over
  end
end
for _, state in ipairs({'delayed', 'waiting', 'placed', 'running', 'dead'}) do
  redis.call('ZREMRANGEBYSCORE', G .. 'tasks:' .. state, '-inf', now - WAITING_LIFE_MS)
end
return gone
