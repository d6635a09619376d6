-- Begin a request that came with an Idempotency-Key: once it is accepted its answer is known, and until then it has the
-- key to itself.
--
-- KEYS  1 idempotency  2 its hold
-- ARGV  1 digest of the body  2 holder, unique to this attempt at the request  3 longest hold in ms
-- Returns {'begun'} | {'replayed', id of what it made} | {'mismatch'} (the key came with another body)
--         | {'held'} (the same request is being accepted)
local digest, holder = ARGV[1], ARGV[2]
local seen = redis.call('HMGET', KEYS[1], 'digest', 'job', 'schedule', 'dataset')
if seen[1] then
  if seen[1] ~= digest then return {'mismatch'} end
  return {'replayed', seen[2] or seen[3] or seen[4]}
end
local held_by, held_for = string.match(redis.call('GET', KEYS[2]) or '', '^(%S+) (%S+)$')
if held_for and held_for ~= digest then return {'mismatch'} end
if held_by and held_by ~= holder then return {'held'} end
redis.call('SET', KEYS[2], holder .. ' ' .. digest, 'PX', ARGV[3])
return {'begun'}
