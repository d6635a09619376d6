-- Forget a schedule with its occurrences. Its jobs go on.
--
-- KEYS  1 schedule  2 its decided occurrences  3 those that wait  4 its live jobs  5 the project's schedules
--       6 index of when to look at which
-- ARGV  1 schedule id  2 member  3 template of an occurrence's key (%s its nominal time)
-- Returns 1, or 0 if there is none
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
for _, nominal in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do
  redis.call('DEL', string.format(ARGV[3], nominal))
end
unname(KEYS[1], ARGV[1])
redis.call('DEL', KEYS[1], KEYS[2], KEYS[3], KEYS[4])
redis.call('ZREM', KEYS[5], ARGV[1])
redis.call('ZREM', KEYS[6], ARGV[2])
return 1
