-- Write a new API key, which is good from then on.
--
-- KEYS  1 key  2 the project's keys
-- ARGV  1 key id  2 most keys of a project  3 digest of its secret  4 when it expires (ms), or ''  5.. field, value
-- Returns 'done' | 'quota' | 'past' (it would have expired already)
local now = now_ms()
if redis.call('EXISTS', KEYS[1]) == 1 then return 'done' end  -- the answer to this very call was lost
if ARGV[4] ~= '' and tonumber(ARGV[4]) <= now then return 'past' end
if redis.call('ZCARD', KEYS[2]) >= tonumber(ARGV[2]) then return 'quota' end
set_fields(KEYS[1], 5)
redis.call('HSET', KEYS[1], 'created_at', now, 'secret:' .. ARGV[3], '')
if ARGV[4] ~= '' then redis.call('HSET', KEYS[1], 'expires_at', ARGV[4]) end
redis.call('ZADD', KEYS[2], 0, ARGV[1])
return 'done'
