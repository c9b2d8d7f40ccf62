-- Store how a task ended, and announce it to who waits, as Celery's Redis backend does; but a success that is there stays.
-- A full server (maxmemory, noeviction) takes small results all the same, and so grows beyond maxmemory by one for each
-- task that it has accepted; larger ones it refuses until it has memory again, or a few of them could bring it down.
-- Returns 1, or 0 if there is a success already.
-- 2 key, 3 result as JSON, with its status in front, 4 seconds for which it is kept (0: for ever)
-- Stands alone.
local SMALL_BYTES = 16384
local before = redis.call('GET', ARGV[2])
if before and string.find(before, '^{"status": ?"SUCCESS"') then return 0 end
-- Redis refuses a script whose first write needs memory; what needs none lets in those behind it. This key is never there.
if #ARGV[3] <= SMALL_BYTES then redis.call('DEL', ARGV[2] .. ':nothing') end
if ARGV[4] == '0' then
  redis.call('SET', ARGV[2], ARGV[3])
else
  redis.call('SET', ARGV[2], ARGV[3], 'EX', ARGV[4])
end
redis.call('PUBLISH', ARGV[2], ARGV[3])
return 1
