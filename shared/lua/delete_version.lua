-- Delete a version, unless something refers to it or it is its model's only one. The artifact is the sweeper's to delete.
--
-- KEYS  1 model  2 its versions  3 its aliases  4 version  5 live jobs that use it  6 schedules that name it
--       7 its tombstone  8 answer to this call
-- ARGV  1 number  2 if_match  3 if_none_match  4 id of the key that asks, or ''  5 template of a job's key (%s its id)
-- Returns {'deleted'} | {'unknown'} | {'failed', revision} | {'used', aliases, jobs, schedules} | {'only'}
local before = answered(KEYS[8])
if before then return before end
if redis.call('EXISTS', KEYS[4]) == 0 then return {'unknown'} end
local revision = redis.call('HGET', KEYS[4], 'revision') or '0'
if not meets(revision, ARGV[2], ARGV[3]) then return {'failed', revision} end

local held, aliases = redis.call('HGETALL', KEYS[3]), {}
for i = 1, #held, 2 do
  if held[i + 1] == ARGV[1] then aliases[#aliases + 1] = held[i] end
end
local jobs, schedules = redis.call('SMEMBERS', KEYS[5]), redis.call('SMEMBERS', KEYS[6])
if #aliases + #jobs + #schedules > 0 then return {'used', some(aliases), some(jobs), some(schedules)} end
if redis.call('ZCARD', KEYS[2]) == 1 then return {'only'} end

bury(KEYS[4], KEYS[5], KEYS[6], KEYS[7], ARGV[5], ARGV[4])
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('HSET', KEYS[1], 'latest_version', redis.call('ZREVRANGE', KEYS[2], 0, 0)[1], 'updated_at', now_ms())
touch(KEYS[1])
return answer(KEYS[8], {'deleted'})
