-- Remember how long the attempt took that ended a job: a mean by type in which the newest counts for a fifth. A job that was
-- split is left out, as its last attempt only closed it.
--
-- KEYS  1 job  2 durations
-- Returns 1, or 0 if there is nothing to learn
local held = redis.call('HMGET', KEYS[1], 'type', 'attempt_started_at', 'finished_at', 'split_at')
if not (held[1] and held[2] and held[3]) or held[4] then return 0 end
local took, before = tonumber(held[3]) - tonumber(held[2]), tonumber(redis.call('HGET', KEYS[2], held[1]))
redis.call('HSET', KEYS[2], held[1], string.format('%.0f', before and 0.8 * before + 0.2 * took or took))
return 1
