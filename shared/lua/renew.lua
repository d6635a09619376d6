-- Prolong a lease and note progress, if the token still owns the job.
--
-- KEYS  1 job  2 leases
-- ARGV  1 token  2 member  3 lease in ms  4.. field, value (progress, counts, warnings)
-- Returns 'lost' | 'cancel' | 'ok'
local held = redis.call('HMGET', KEYS[1], 'token', 'cancel_requested_at')
if held[1] ~= ARGV[1] then return 'lost' end
redis.call('ZADD', KEYS[2], now_ms() + tonumber(ARGV[3]), ARGV[2])
if #ARGV > 3 then
  set_fields(KEYS[1], 4)
  touch(KEYS[1])
end
if held[2] then return 'cancel' end
return 'ok'
