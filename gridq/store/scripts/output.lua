-- Append what a task printed, and keep within the limits: of this task the oldest parts go, of all tasks' output that of
-- the task which printed last the longest ago, one that has ended before one that has not.
-- 2 task id, 3 claim under which it was printed, 4 worker, 5 text ('': none), 6 bytes left out before it, 7 attempt ('':
-- look it up), 8 bytes kept of a task, 9 bytes kept of all, 10 '1' if this attempt prints no more
-- Returns the attempt, or 0 if the task has no record (any more): then nothing is kept.
-- Stands behind shared.lua.
local id, LOOK_AT, SWEPT = ARGV[2], 64, 2
-- What a part takes beside its text, roughly: many small parts must not take more than few large ones.
local OVERHEAD = 64
local index, sizes, sum = G .. 'outputs', G .. 'outputs:sizes', G .. 'outputs:sum'

local function sizes_of(task)
  local kept, cut = string.match(redis.call('HGET', sizes, task) or '', '^(%d+) (%d+)$')
  return tonumber(kept or 0), tonumber(cut or 0)
end

local function forget(task)
  redis.call('DEL', G .. 'output:' .. task)
  redis.call('DECRBY', sum, string.format('%.0f', (sizes_of(task))))
  redis.call('HDEL', sizes, task)
  redis.call('ZREM', index, task)
end

-- Drop output whose task is gone, a few at a time: mostly it is the oldest, behind which others may hide.
local function sweep()
  for _, some in ipairs({redis.call('ZRANGE', index, 0, SWEPT - 1), redis.call('ZRANDMEMBER', index, SWEPT)}) do
    for _, task in ipairs(some) do
      if redis.call('EXISTS', G .. 'task:' .. task) == 0 then forget(task) end
    end
  end
end

-- Whose output goes first; this task's own at last.
local function victim()
  local oldest = redis.call('ZRANGE', index, 0, LOOK_AT - 1)
  for _, task in ipairs(oldest) do
    local state = redis.call('HGET', G .. 'task:' .. task, 'state')
    if task ~= id and state ~= 'running' then return task end
  end
  for _, task in ipairs(oldest) do
    if task ~= id then return task end
  end
end

local function text_of(fields)
  for i = 1, #fields, 2 do
    if fields[i] == 'text' then return fields[i + 1] end
  end
  return ''
end

-- Cut the oldest parts of this task until no more than `limit` is kept, but for the newest part.
local function cut_down(key, kept, cut, limit)
  while kept > limit do
    local parts = redis.call('XRANGE', key, '-', '+', 'COUNT', 2)
    if #parts < 2 then break end
    local length = #text_of(parts[1][2])
    redis.call('XDEL', key, parts[1][1])
    kept, cut = kept - length - OVERHEAD, cut + length
  end
  return kept, cut
end

local key, record = G .. 'output:' .. id, G .. 'task:' .. id
local facts = redis.call('HMGET', record, 'claim', 'attempts')
sweep()
if redis.call('EXISTS', record) == 0 then return 0 end
local attempt = tonumber(ARGV[7])
-- When another has claimed the task since, this attempt was one before.
if not attempt then attempt = math.max(1, tonumber(facts[2] or 1) - (facts[1] == ARGV[3] and 0 or 1)) end

local before, cut = sizes_of(id)
local kept, ends = before, ARGV[10] == '1' and before > 0
if #ARGV[5] > 0 or ends then
  local fields = {'text', ARGV[5], 'attempt', attempt, 'worker', ARGV[4]}
  if ARGV[6] ~= '0' then fields[#fields + 1] = 'gap'; fields[#fields + 1] = ARGV[6] end
  if ARGV[10] == '1' then fields[#fields + 1] = 'end'; fields[#fields + 1] = '1' end
  redis.call('XADD', key, '*', unpack(fields))
  kept, cut = cut_down(key, kept + #ARGV[5] + OVERHEAD, cut, tonumber(ARGV[8]))
  redis.call('ZADD', index, now_ms(), id)
  redis.call('HSET', sizes, id, string.format('%.0f %.0f', kept, cut))
  redis.call('INCRBY', sum, string.format('%.0f', kept - before))
end
local life = redis.call('PTTL', record)
if life > 0 then redis.call('PEXPIRE', key, life) end
while tonumber(redis.call('GET', sum) or 0) > tonumber(ARGV[9]) do
  local task = victim()
  if not task then break end
  forget(task)
end
return attempt
