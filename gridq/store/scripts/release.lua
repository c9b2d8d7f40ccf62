-- Put claims back in front of their shared queues: those named, or all of the worker's but those named.
-- 2 worker, 3 'only' or 'except', 4… claim ids. Returns how many went back.
local key, named, back = G .. 'claims:' .. ARGV[2], {}, 0
for i = 4, #ARGV do named[ARGV[i]] = true end
for _, claim in ipairs(redis.call('HKEYS', key)) do
  if (named[claim] or false) == (ARGV[3] == 'only') then
    local part = split(redis.call('HGET', key, claim), 4)
    redis.call('HDEL', key, claim)
    local home = give_back(part[1], part[2], part[5])
    if redis.call('EXISTS', G .. 'task:' .. part[4]) == 1 then
      record(part[4], 'state', 'waiting', 'queue', home, 'reason', 'requeued from ' .. ARGV[2])
    end
    back = back + 1
  end
end
return back
