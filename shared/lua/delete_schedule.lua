-- Forget a schedule with its occurrences. Its jobs go on.
--
-- KEYS  1 schedule  2 its decided occurrences  3 those that wait  4 its live jobs  5 the project's schedules
--       6 index of when to look at which
-- ARGV  1 schedule id  2 member  3 template of an occurrence's key (%s its nominal time)
--       4 revision that it must have ('' for any)  5 then also the nominal time that is next for it ('' for none)
-- Returns 'done' | 'unknown' | 'changed'
local held = redis.call('HMGET', KEYS[1], 'revision', 'next_at')
if not held[1] then return 'unknown' end
if ARGV[4] ~= '' and (held[1] ~= ARGV[4] or (held[2] or '') ~= ARGV[5]) then return 'changed' end
for _, nominal in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do
  redis.call('DEL', string.format(ARGV[3], nominal))
end
unname(KEYS[1], ARGV[1])
redis.call('DEL', KEYS[1], KEYS[2], KEYS[3], KEYS[4])
redis.call('ZREM', KEYS[5], ARGV[1])
redis.call('ZREM', KEYS[6], ARGV[2])
return 'done'
