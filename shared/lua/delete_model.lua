-- Delete a model with all its versions, unless something refers to it or to one of them. The artifacts are the sweeper's
-- to delete. What remains: its last number, so that none is given out twice, and a tombstone of each version.
--
-- KEYS  1 model  2 its versions  3 its aliases  4 what outlives it  5 the project's models  6 schedules that name it
--       7 jobs that make or use it  8 index: queued  9 index: running  10 answer to this call
-- ARGV  1 name  2 if_match  3 if_none_match  4 id of the key that asks, or ''  5 template of a job's key (%s its id)
--       templates of keys of a version (%d the number): 6 version  7 live jobs that use it  8 schedules that name it
--       9 its tombstone
-- Returns {'deleted'} | {'unknown'} | {'failed', revision} | {'used', aliases, jobs, schedules}
local before = answered(KEYS[10])
if before then return before end
if redis.call('EXISTS', KEYS[1]) == 0 then return {'unknown'} end
local revision = redis.call('HGET', KEYS[1], 'revision') or '0'
if not meets(revision, ARGV[2], ARGV[3]) then return {'failed', revision} end

local numbers = redis.call('ZRANGE', KEYS[2], 0, -1)
local aliases, schedules, jobs, seen = redis.call('HKEYS', KEYS[3]), redis.call('SMEMBERS', KEYS[6]), {}, {}
local function add(ids)
  for _, id in ipairs(ids) do
    if not seen[id] then jobs[#jobs + 1] = id end
    seen[id] = true
  end
end
add(redis.call('ZINTER', 2, KEYS[7], KEYS[8]))
add(redis.call('ZINTER', 2, KEYS[7], KEYS[9]))
for _, number in ipairs(numbers) do add(redis.call('SMEMBERS', string.format(ARGV[7], number))) end
if #aliases + #jobs + #schedules > 0 then return {'used', some(aliases), some(jobs), some(schedules)} end

for _, number in ipairs(numbers) do
  local function key(place) return string.format(ARGV[place], number) end
  bury(key(6), key(7), key(8), key(9), ARGV[5], ARGV[4])
end
local last = math.max(tonumber(redis.call('HGET', KEYS[4], 'number') or 0), tonumber(redis.call('HGET', KEYS[1], 'latest_version')))
redis.call('HSET', KEYS[4], 'number', last, 'revision', revision)
redis.call('DEL', KEYS[1], KEYS[2], KEYS[3])
redis.call('ZREM', KEYS[5], ARGV[1])
return answer(KEYS[10], {'deleted'})
