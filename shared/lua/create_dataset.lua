-- Write the record of a table whose objects are all in the store; with it ends the upload that the table came by.
--
-- KEYS  1 dataset  2 the project's datasets  3 upload (any key, if there is none)
-- ARGV  1 dataset id  2 token of the upload's completion ('' without an upload)
--       3 bytes that the project keeps in the store for it ('' if it lies elsewhere)
--       4 most bytes that the project may keep (0: any number)  5.. field, value
-- Returns {'created', created_at (ms)} | {'full'} | {'lost'} (another completion has taken over, or the upload is gone)
local created = redis.call('HGET', KEYS[1], 'created_at')
if created then return {'created', created} end  -- the answer to this very call was lost
if ARGV[2] ~= '' and redis.call('HGET', KEYS[3], 'token') ~= ARGV[2] then return {'lost'} end
if ARGV[3] ~= '' then
  if is_over(KEYS[1], ARGV[3], ARGV[4]) then return {'full'} end
  redis.call('HSET', KEYS[1], 'stored_bytes', ARGV[3])
  keep_bytes(KEYS[1], 'datasets', ARGV[3])
end
if ARGV[2] ~= '' then
  redis.call('HSET', KEYS[3], 'status', 'completed', 'dataset', ARGV[1])
  redis.call('HDEL', KEYS[3], 'token', 'lease_until', 'error_code', 'error_message')
end
local now = string.format('%.0f', now_ms())
set_fields(KEYS[1], 5)
redis.call('HSET', KEYS[1], 'created_at', now)
redis.call('ZADD', KEYS[2], 0, ARGV[1])
return {'created', now}
