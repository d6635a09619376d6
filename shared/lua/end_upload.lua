-- A completion has failed: the upload takes parts again, and says why if that lies in what was sent.
--
-- KEYS  1 upload
-- ARGV  1 token  2 code ('' if the cause was ours)  3 message
-- Returns 1, or 0 if another completion has taken over, or the upload is gone
if redis.call('HGET', KEYS[1], 'token') ~= ARGV[1] then return 0 end
redis.call('HDEL', KEYS[1], 'token', 'lease_until', 'error_code', 'error_message')
redis.call('HSET', KEYS[1], 'status', ARGV[2] == '' and 'open' or 'failed')
if ARGV[2] ~= '' then redis.call('HSET', KEYS[1], 'error_code', ARGV[2], 'error_message', ARGV[3]) end
return 1
