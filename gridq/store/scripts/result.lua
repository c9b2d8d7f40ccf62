-- Store how a task ended, and announce it to who waits, as Celery's Redis backend does; but a success that is there stays.
-- Returns 1, or 0 if there is a success already.
-- 2 key, 3 result as JSON, with its status in front, 4 seconds for which it is kept (0: for ever)
-- Stands alone.
local before = redis.call('GET', ARGV[2])
if before and string.find(before, '^{"status": ?"SUCCESS"') then return 0 end
if ARGV[4] == '0' then
  redis.call('SET', ARGV[2], ARGV[3])
else
  redis.call('SET', ARGV[2], ARGV[3], 'EX', ARGV[4])
end
redis.call('PUBLISH', ARGV[2], ARGV[3])
return 1
