-- A consumer stops: it is no longer ready, and what waits in its worker's own queue goes back to the shared queues.
-- 2 consumer, 3 own queue, 4… priority suffixes. Returns how many messages went back.
redis.call('DEL', G .. 'consumer:' .. ARGV[2], G .. 'wake:' .. ARGV[2])
local own, back = ARGV[3], 0
for i = 4, #ARGV do
  local key, pinned = P .. own .. ARGV[i], {}
  while true do
    local raw = redis.call('RPOP', key)
    if not raw then break end
    if home_queue(decode(raw)) == own then
      pinned[#pinned + 1] = raw
    else
      record(task_id(raw), 'state', 'waiting', 'queue', give_back(own, ARGV[i], raw))
      back = back + 1
    end
  end
  for _, raw in ipairs(pinned) do redis.call('LPUSH', key, raw) end
end
return back
