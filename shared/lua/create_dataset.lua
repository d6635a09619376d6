-- Write the record of a table whose objects are all in the store.
--
-- KEYS  1 dataset  2 the project's datasets
-- ARGV  1 dataset id  2 bytes that the project keeps in the store for it ('' if it lies elsewhere)
--       3 most bytes that the project may keep (0: any number)  4.. field, value
-- Returns {'created', created_at (ms)} | {'full'}
local created = redis.call('HGET', KEYS[1], 'created_at')
if created then return {'created', created} end  -- the answer to this very call was lost
if ARGV[2] ~= '' then
  if is_over(KEYS[1], ARGV[2], ARGV[3]) then return {'full'} end
  redis.call('HSET', KEYS[1], 'stored_bytes', ARGV[2])
  keep_bytes(KEYS[1], 'datasets', ARGV[2])
end
local now = string.format('%.0f', now_ms())
set_fields(KEYS[1], 4)
redis.call('HSET', KEYS[1], 'created_at', now)
redis.call('ZADD', KEYS[2], 0, ARGV[1])
return {'created', now}
