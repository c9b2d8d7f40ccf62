-- A worker stopped: take it off the list unless its name has a new holder. Returns 1 if it was there.
-- 2 worker, 3 token
local held = redis.call('HGET', G .. 'workers', ARGV[2])
if not held or decode(split(held, 2)[3]).token ~= ARGV[3] then return 0 end
redis.call('HDEL', G .. 'workers', ARGV[2])
return 1
