-- Create an endpoint, or change one. One that is switched on again begins with a clean slate.
--
-- KEYS  1 endpoint  2 the project's endpoints
-- ARGV  1 endpoint id  2 project  3 most endpoints of a project, '' to change one  4 nonce of its first secret  5.. field, value
-- Returns 'done' | 'quota' | 'unknown'
local endpoint, now = KEYS[1], now_ms()
local known = redis.call('EXISTS', endpoint) == 1
if ARGV[3] == '' then
  if not known then return 'unknown' end
elseif not known then
  if redis.call('ZCARD', KEYS[2]) >= tonumber(ARGV[3]) then return 'quota' end
  redis.call('HSET', endpoint, 'id', ARGV[1], 'project', ARGV[2], 'created_at', now, 'secret:' .. ARGV[4], '')
  redis.call('ZADD', KEYS[2], 0, ARGV[1])
end
local before = redis.call('HGET', endpoint, 'status')
set_fields(endpoint, 5)
redis.call('HSET', endpoint, 'updated_at', now)
local status = redis.call('HGET', endpoint, 'status')
if status == 'enabled' then
  redis.call('HDEL', endpoint, 'disabled_reason', 'disabled_at')
  if before ~= 'enabled' then redis.call('HDEL', endpoint, 'failing_since', 'failures', 'busy_until') end
elseif before == 'enabled' then
  redis.call('HSET', endpoint, 'disabled_at', now)
end
line_up_endpoint(ARGV[2], ARGV[1])
return 'done'
