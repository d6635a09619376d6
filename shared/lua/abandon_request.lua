-- Give up the hold on an Idempotency-Key, as its request was refused: the next one may be another.
--
-- KEYS  1 the hold
-- ARGV  1 digest of the body  2 holder
-- Returns 1, or 0 if somebody else holds it by now
if redis.call('GET', KEYS[1]) ~= ARGV[2] .. ' ' .. ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
