-- Forget a dataset, unless a live job reads it or a schedule names it.
--
-- KEYS  1 dataset  2 live jobs that read it  3 the project's datasets  4 schedules that name it
--       5 jobs that have read it  6 answer to this call
-- ARGV  1 dataset id
-- Returns {'deleted'} | {'unknown'} | {'used', jobs, schedules}
local before = answered(KEYS[6])
if before then return before end
if redis.call('EXISTS', KEYS[1]) == 0 then return {'unknown'} end
local jobs, schedules = redis.call('SMEMBERS', KEYS[2]), redis.call('SMEMBERS', KEYS[4])
if #jobs + #schedules > 0 then return {'used', some(jobs), some(schedules)} end
keep_bytes(KEYS[1], 'datasets', -tonumber(redis.call('HGET', KEYS[1], 'stored_bytes') or 0))
redis.call('DEL', KEYS[1], KEYS[2], KEYS[4], KEYS[5])
redis.call('ZREM', KEYS[3], ARGV[1])
return answer(KEYS[6], {'deleted'})
