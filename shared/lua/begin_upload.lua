-- Take the right to complete an upload, for as long as a lease.
--
-- KEYS  1 upload
-- ARGV  1 token  2 milliseconds that it is good for
-- Returns 'begun' | 'busy' (another completion has it) | 'completed' | 'expired' | 'unknown'
local now = now_ms()
local held = redis.call('HMGET', KEYS[1], 'status', 'token', 'lease_until', 'expires_at')
if not held[1] then return 'unknown' end
if held[1] == 'completed' then return 'completed' end
if held[2] == ARGV[1] then return 'begun' end  -- the answer to this very call was lost
if held[1] == 'completing' and tonumber(held[3]) > now then return 'busy' end
if tonumber(held[4]) <= now then return 'expired' end
redis.call('HSET', KEYS[1], 'status', 'completing', 'token', ARGV[1],
  'lease_until', string.format('%.0f', now + tonumber(ARGV[2])))
return 'begun'
