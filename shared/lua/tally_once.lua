-- Add to the tallies what a process has counted by itself, or noticed. A call that comes twice is counted once.
--
-- KEYS  1 marker of this call  2 tallies
-- ARGV  field, count, …
-- Returns 1, or 0 if it had been counted
if not redis.call('SET', KEYS[1], '1', 'NX', 'PX', 600000) then return 0 end
for i = 1, #ARGV, 2 do redis.call('HINCRBY', KEYS[2], ARGV[i], ARGV[i + 1]) end
return 1
