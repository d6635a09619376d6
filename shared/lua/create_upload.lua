-- Write a new upload.
--
-- KEYS  1 upload  2 the project's uploads  3 all uploads, by when they expire
-- ARGV  1 upload id  2 member  3 most uploads of a project  4 seconds until it expires  5.. field, value
-- Returns 'done' | 'quota'
if redis.call('EXISTS', KEYS[1]) == 1 then return 'done' end  -- the answer to this very call was lost
if redis.call('ZCARD', KEYS[2]) >= tonumber(ARGV[3]) then return 'quota' end
local now = now_ms()
local expires = now + tonumber(ARGV[4]) * 1000
set_fields(KEYS[1], 5)
redis.call('HSET', KEYS[1], 'status', 'open', 'created_at', string.format('%.0f', now),
  'expires_at', string.format('%.0f', expires))
redis.call('ZADD', KEYS[2], 0, ARGV[1])
redis.call('ZADD', KEYS[3], expires, ARGV[2])
return 'done'
