-- Note in a task's record how far it is by its own account.
-- 2 task id, 3 claim under which it runs, 4 done, 5 of how much ('': unknown), 6 a few words of the task's
-- Returns 1, or 0 if the record speaks of another claim or of none by now.
-- Stands behind shared.lua.
local key = G .. 'task:' .. ARGV[2]
local facts = redis.call('HMGET', key, 'claim', 'state', 'attempts', 'progress')
-- The claim stays in the record after the end, and so does how far the task got; not when the task goes back to a queue.
local waits = facts[2] == 'waiting' or facts[2] == 'placed' or facts[2] == 'delayed'
if facts[1] ~= ARGV[3] or waits then return 0 end
local now, attempt, done = now_ms(), tonumber(facts[3]), tonumber(ARGV[4])
local before = facts[4] and decode(facts[4]) or {}
local same = before.attempt == attempt and before.first_done and before.first_done <= done
local said = {
  done = done, total = tonumber(ARGV[5]), note = ARGV[6], at = now, attempt = attempt,
  first_done = same and before.first_done or done, first_at = same and before.first_at or now,
}
redis.call('HSET', key, 'progress', cjson.encode(said))
return 1
