-- Correct what a project is counted to keep, if it is still counted as it was when somebody added up the records.
--
-- KEYS  1 stored
-- ARGV  for each kind: its name, bytes that were counted, bytes that are right
-- Returns 1, or 0 if it has changed meanwhile
for i = 1, #ARGV, 3 do
  if (redis.call('HGET', KEYS[1], ARGV[i]) or '0') ~= ARGV[i + 1] then return 0 end
end
for i = 1, #ARGV, 3 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 2]) end
return 1
