-- Remove an entry of the lease index that no attempt stands behind.
--
-- KEYS  1 job  2 leases
-- ARGV  1 member
-- Returns 1 if it was removed
if redis.call('HEXISTS', KEYS[1], 'token') == 1 then return 0 end
return redis.call('ZREM', KEYS[2], ARGV[1])
