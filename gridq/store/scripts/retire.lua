-- A consumer stops: it is no longer ready, and what waits in its worker's own queue goes back to the shared queues.
-- 2 consumer, 3 own queue, 4… priority suffixes. Returns how many messages went back.
-- Stands behind flow.lua.
redis.call('DEL', G .. 'consumer:' .. ARGV[2], G .. 'wake:' .. ARGV[2])
local back = 0
for i = 4, #ARGV do back = back + empty_own_queue(ARGV[3], ARGV[i]) end
return back
