-- Write down that something happened in a running attempt (a checkpoint, a resumption), if the token owns the job.
--
-- KEYS  1 job  2 events
-- ARGV  1 token  2 event  3 reason  4.. field, value
-- Returns 'done' | 'lost'
local held = redis.call('HMGET', KEYS[1], 'token', 'status', 'attempt')
if held[1] ~= ARGV[1] then return 'lost' end
set_fields(KEYS[1], 4)
touch(KEYS[1])
record(KEYS[2], ARGV[2], held[2], held[3], ARGV[3])
return 'done'
