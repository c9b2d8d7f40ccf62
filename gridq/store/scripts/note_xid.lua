-- Note in the records of tasks that an XID error happened on their GPU while they were there; the last 16 are kept.
-- 2 number of the XID, 3 its meaning, 4 ms since it happened, 5 the GPU's uuid, 6 worker, 7… task ids
-- Returns how many of the tasks have a record.
-- Stands behind shared.lua.
local noted, at = 0, now_ms() - tonumber(ARGV[4])
for i = 7, #ARGV do
  local key = G .. 'task:' .. ARGV[i]
  if redis.call('EXISTS', key) == 1 then
    local xids = decode(redis.call('HGET', key, 'xids') or '[]')
    xids[#xids + 1] = {number = tonumber(ARGV[2]), meaning = ARGV[3], at = at / 1000, gpu = ARGV[5], worker = ARGV[6]}
    if #xids > 16 then table.remove(xids, 1) end
    redis.call('HSET', key, 'xids', cjson.encode(xids))
    noted = noted + 1
  end
end
return noted
