-- Forget a dataset, unless a live job reads it.
--
-- KEYS  1 dataset  2 its users  3 the project's datasets
-- ARGV  1 dataset id
-- Returns 'deleted' | 'unknown' | 'used'
if redis.call('EXISTS', KEYS[1]) == 0 then return 'unknown' end
if redis.call('SCARD', KEYS[2]) > 0 then return 'used' end
keep_bytes(KEYS[1], 'datasets', -tonumber(redis.call('HGET', KEYS[1], 'stored_bytes') or 0))
redis.call('DEL', KEYS[1], KEYS[2])
redis.call('ZREM', KEYS[3], ARGV[1])
return 'deleted'
