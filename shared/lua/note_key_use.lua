-- Write down that a key has just been used, unless it has been revoked meanwhile.
--
-- KEYS  1 key
-- Returns 1, or 0 for a key that is gone
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('HSET', KEYS[1], 'last_used_at', now_ms())
return 1
