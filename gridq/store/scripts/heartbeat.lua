-- Renew a worker's lease and write its heartbeat.
-- 2 worker, 3 token, 4 lease in ms, 5 heartbeat (JSON), 6 node, 7 free bytes, 8 number of lists that it looks into,
-- 9… their names, then key and facts of each of its GPUs
-- Returns {1, epoch, what drain_left says, 1 if one of the lists has a message that needs no more than the free bytes};
-- or {0, epoch} if the lease is no longer this holder's, when nothing is written.
-- Stands behind losses.lua.
even_if_full()
local worker, now = ARGV[2], now_ms()
local free, first = tonumber(ARGV[7]), 9 + tonumber(ARGV[8])
-- How many messages of a list are looked at for one that fits.
local LOOK_AT = 8

-- One command for all lists, since almost always all of them are empty: a thousand idle workers ask this.
local function something_fits()
  local lists = {}
  for i = 9, first - 1 do lists[#lists + 1] = P .. ARGV[i] end
  if #lists == 0 or redis.call('EXISTS', unpack(lists)) == 0 then return 0 end
  for _, list in ipairs(lists) do
    for at = 1, LOOK_AT do
      local raw = redis.call('LINDEX', list, -at)
      if not raw then break end
      if bytes_needed(raw, 0) <= free then return 1 end
    end
  end
  return 0
end

local epoch = redis.call('GET', G .. 'epoch') or ''
local holder = redis.call('HGET', G .. 'holders', worker)
if not holder or split(holder, 1)[1] ~= ARGV[3] or lease_ends(worker) <= now then return {0, epoch} end
local ends = now + tonumber(ARGV[4])
redis.call('ZADD', G .. 'leases', ends, worker)
redis.call('HSET', G .. 'workers', worker, table.concat({ends, now, ARGV[5]}, '\n'))
for i = first, #ARGV, 2 do redis.call('HSET', G .. 'gpus', ARGV[i], ARGV[i + 1]) end
return {1, epoch, drain_left(worker, ARGV[6], now), something_fits()}
