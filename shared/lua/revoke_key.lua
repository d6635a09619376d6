-- Revoke a key: from here on no process knows it.
--
-- KEYS  1 key  2 the project's keys
-- ARGV  1 key id  2 project that the key must belong to
-- Returns 'done' | 'unknown'
if redis.call('HGET', KEYS[1], 'project') ~= ARGV[2] then return 'unknown' end
redis.call('DEL', KEYS[1])
redis.call('ZREM', KEYS[2], ARGV[1])
return 'done'
