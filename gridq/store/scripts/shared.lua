-- Shared by every script. ARGV[1] is the key prefix of the broker.
local P = ARGV[1]
local G = P .. 'gridq:'
local CONSUMER_LIFE_MS = 3000
local WAKE_LIFE_MS = 10000
local READY_LIFE_MS = 3600000
local DUE_AT_ONCE = 64

local function now_ms()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

-- A full server (maxmemory, noeviction) refuses a script whose first write needs memory. What keeps the fleet alive must
-- go on all the same: leases, claims and their ends; what a producer wants to add may be refused. So these begin with a
-- write that needs none.
local function even_if_full()
  redis.call('DEL', G .. 'nothing')
end

local function wake(consumer)
  redis.call('LPUSH', G .. 'wake:' .. consumer, 1)
  redis.call('PEXPIRE', G .. 'wake:' .. consumer, WAKE_LIFE_MS)
end

local function lease_ends(worker)
  return tonumber(redis.call('ZSCORE', G .. 'leases', worker) or 0)
end

-- The first n fields of a newline-separated text, and the rest.
local function split(text, n)
  local parts, from = {}, 1
  for i = 1, n do
    local stop = string.find(text, '\n', from, true)
    parts[i] = string.sub(text, from, stop - 1)
    from = stop + 1
  end
  parts[n + 1] = string.sub(text, from)
  return parts
end

local function decode(raw)
  local fine, message = pcall(cjson.decode, raw)
  return fine and type(message) == 'table' and message or {}
end

-- A message's task id, and the bytes that it asks for (nil: it does not say). What gridq published ends with both, so that
-- a body of a megabyte need not be read for them.
local function facts_of(raw)
  local bytes, id = string.match(string.sub(raw, -512), '"gridq_put": ?"%x+ (%d+) ([^"\\]+)"}}$')
  if id then return id, tonumber(bytes) end
  local message = decode(raw)
  local headers = type(message.headers) == 'table' and message.headers or {}
  local needs = type(headers.gridq) == 'table' and headers.gridq or {}
  local properties = type(message.properties) == 'table' and message.properties or {}
  local id = properties.correlation_id
  -- Fields of claims are told apart by newlines: a foreign id with one is none.
  return type(id) == 'string' and not string.find(id, '\n', 1, true) and id or '', tonumber(needs.vram)
end

local function bytes_needed(raw, otherwise)
  local _, bytes = facts_of(raw)
  return bytes or otherwise
end
