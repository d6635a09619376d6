-- Jobs in whose words a text occurs, newest first, letters of either case being the same. Only so many are looked at: one
-- call never holds Redis up for long, and says where the next goes on.
--
-- KEYS  1 index of the jobs to look at, ids in order
-- ARGV  1 text in lower case  2 before this id ('' from the newest)  3 most found  4 most looked at  5 template of a job (%s
--       its id)  6.. field, value that a job must have
-- Returns {id of the last that was looked at if there are more, else '', {field, value, …} of each found}
local text, most, looks = ARGV[1], tonumber(ARGV[3]), tonumber(ARGV[4])
local upper = ARGV[2] == '' and '+' or '(' .. ARGV[2]
local ids = redis.call('ZRANGE', KEYS[1], upper, '-', 'BYLEX', 'REV', 'LIMIT', 0, looks + 1)
local words = {'id', 'type', 'status', 'model', 'spec', 'metadata', 'error', 'schedule', 'parent', 'worker'}

local function matches(job)
  for n = 6, #ARGV, 2 do
    if redis.call('HGET', job, ARGV[n]) ~= ARGV[n + 1] then return false end
  end
  for _, word in ipairs(redis.call('HMGET', job, unpack(words))) do
    if word and string.find(string.lower(word), text, 1, true) then return true end
  end
  return false
end

local found = {}
for n, id in ipairs(ids) do
  if n > looks then return {ids[looks], found} end
  local job = string.format(ARGV[5], id)
  if matches(job) then
    found[#found + 1] = redis.call('HGETALL', job)
    if #found == most then return {ids[n + 1] and id or '', found} end
  end
end
return {'', found}
