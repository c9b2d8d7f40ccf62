-- Put claims back in front of their shared queues, no loss counted.
-- 2 worker, then 3 'only' and 4… claim ids; or 3 'lost', 4 what the claim ids of one process begin with, 5 the consumer that
-- alone looks for this worker from now on, 6… its claims that are not lost. Returns how many went back.
-- Stands behind losses.lua.
local key, named, back, lost = G .. 'claims:' .. ARGV[2], {}, 0, ARGV[3] == 'lost'
if lost then
  -- A look of the last connection may still be on its way; what it claimed nobody would hear of.
  even_if_full()
  redis.call('SET', G .. 'attached:' .. ARGV[2], ARGV[5], 'PX', READY_LIFE_MS)
end
for i = lost and 6 or 4, #ARGV do named[ARGV[i]] = true end
for _, claim in ipairs(redis.call('HKEYS', key)) do
  local wanted = named[claim] or false
  if lost then wanted = not wanted and string.sub(claim, 1, #ARGV[4]) == ARGV[4] end
  if wanted and lose(ARGV[2], claim, 'released', 'requeued from ' .. ARGV[2], '', 0) ~= 'gone' then back = back + 1 end
end
return back
