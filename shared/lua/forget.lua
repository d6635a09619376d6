-- Drop what is left of a job that ended long ago. A job that made a model version is part of its lineage and stays, until
-- that version is deleted.
--
-- KEYS  1 job  2 events  3 logs  4 leases  then the indexes that may hold it
-- ARGV  1 job id  2 member  3 terminal states, separated by spaces  4 ended before (ms)
-- Returns 'forgotten' | 'kept'
local held = redis.call('HMGET', KEYS[1], 'status', 'finished_at', 'model_version', 'version_deleted')
if not held[1] or not string.find(ARGV[3], held[1], 1, true) then return 'kept' end
if (held[3] and not held[4]) or tonumber(held[2]) > tonumber(ARGV[4]) then return 'kept' end
for i = 5, #KEYS do redis.call('ZREM', KEYS[i], ARGV[1]) end
redis.call('ZREM', KEYS[4], ARGV[2])
drop_shards(KEYS[1])
keep_bytes(KEYS[1], 'outputs', -tonumber(redis.call('HGET', KEYS[1], 'stored_bytes') or 0))
redis.call('DEL', KEYS[1], KEYS[2], KEYS[3], KEYS[1] .. ':curve')
return 'forgotten'
