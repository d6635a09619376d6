-- Remove an entry of the lease index that no running job stands behind.
--
-- KEYS  1 job  2 leases
-- ARGV  1 member  2 the state that has leases
-- Returns 1 if it was removed
if redis.call('HGET', KEYS[1], 'status') == ARGV[2] then return 0 end
return redis.call('ZREM', KEYS[2], ARGV[1])
