-- Take dead letters off the list, and put them back into their queues or forget them.
-- 2 'retry' or 'drop', 3… task ids. Returns how many there were.
-- Stands behind flow.lua.
local found = 0
for i = 3, #ARGV do
  local id, held = ARGV[i], redis.call('HGET', G .. 'dead:messages', ARGV[i])
  if held then
    found = found + 1
    redis.call('HDEL', G .. 'dead:messages', id)
    redis.call('ZREM', G .. 'dead', id)
    redis.call('SREM', G .. 'dead:untold', id)
    if ARGV[2] == 'retry' then
      local part = split(held, 4)
      redis.call('HDEL', G .. 'task:' .. id, 'losses', 'gpu_losses', 'finished_at')
      push(part[1], part[2], bytes_needed(part[5], 0), part[5])
      enter(id, 'waiting', now_ms(), 'queue', part[1], 'reason', 'retried by hand')
    else
      enter(id, 'dropped', now_ms())
    end
  end
end
return found
