-- Keep the right to complete an upload.
--
-- KEYS  1 upload
-- ARGV  1 token  2 milliseconds that it is good for
-- Returns 1, or 0 if another completion has taken over, or the upload is gone
if redis.call('HGET', KEYS[1], 'token') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'lease_until', string.format('%.0f', now_ms() + tonumber(ARGV[2])))
return 1
