-- Forget an upload, unless a completion is under way.
--
-- KEYS  1 upload  2 the project's uploads  3 all uploads, by when they expire
-- ARGV  1 upload id  2 member  3 'expired': only if it has
-- Returns 'deleted' | 'unknown' | 'busy' | 'kept'
local now = now_ms()
local held = redis.call('HMGET', KEYS[1], 'status', 'lease_until', 'expires_at')
if not held[1] then
  redis.call('ZREM', KEYS[3], ARGV[2])
  return 'unknown'
end
if held[1] == 'completing' and tonumber(held[2]) > now then return 'busy' end
if ARGV[3] == 'expired' and tonumber(held[3]) > now then return 'kept' end
redis.call('DEL', KEYS[1])
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('ZREM', KEYS[3], ARGV[2])
return 'deleted'
