-- Create a schedule, or change one that is still as the caller saw it. What its job names by id or name cannot be deleted
-- while the schedule is there.
--
-- KEYS  1 schedule  2 its occurrences that wait  3 index of when to look at which  4 the project's schedules
--       5 idempotency  then `n_named` pairs: record that must exist ('' if it need not), schedules that name it
-- ARGV  1 schedule id  2 member  3 most schedules of a project
--       4 revision that it has ('' to create it)  5 nominal time that is next for it ('' for none)
--       6 digest of the body ('' without an Idempotency-Key)  7 seconds to keep it
--       8 n_named, or 'as before'  9.. field, value; of next_at and due_at '' takes them away
-- Returns {'done', id} | {'replayed', id} | {'mismatch'} | {'quota'} | {'changed'}
--         | {'gone', position of the missing record}
local schedule, id, revision, digest = KEYS[1], ARGV[1], ARGV[4], ARGV[6]
local held = redis.call('HMGET', schedule, 'revision', 'next_at')
local last_named = ARGV[8] ~= 'as before' and 5 + 2 * tonumber(ARGV[8])

local function missing()
  for i = 6, last_named or 0, 2 do
    if KEYS[i] ~= '' and redis.call('EXISTS', KEYS[i]) == 0 then return (i - 6) / 2 end
  end
end

if revision == '' then
  if held[1] then return {'done', id} end  -- the answer to this very call was lost
  if digest ~= '' then
    local seen = redis.call('HMGET', KEYS[5], 'digest', 'schedule')
    if seen[1] == digest then return {'replayed', seen[2]} end
    if seen[1] then return {'mismatch'} end
  end
  if redis.call('ZCARD', KEYS[4]) >= tonumber(ARGV[3]) then return {'quota'} end
  if missing() then return {'gone', missing()} end
  if digest ~= '' then
    redis.call('HSET', KEYS[5], 'digest', digest, 'schedule', id)
    redis.call('EXPIRE', KEYS[5], ARGV[7])
  end
elseif held[1] ~= revision or (held[2] or '') ~= ARGV[5] then
  return {'changed'}
elseif missing() then
  return {'gone', missing()}
end
set_fields(schedule, 9)
if last_named then
  local names = {}
  unname(schedule, id)
  for i = 7, last_named, 2 do
    redis.call('SADD', KEYS[i], id)
    names[#names + 1] = KEYS[i]
  end
  redis.call('HSET', schedule, 'names', table.concat(names, ' '))
end
for _, field in ipairs({'start', 'end', 'next_at', 'due_at'}) do
  if redis.call('HGET', schedule, field) == '' then redis.call('HDEL', schedule, field) end
end
redis.call('HINCRBY', schedule, 'revision', 1)
redis.call('ZADD', KEYS[4], 0, id)
look_again(schedule, KEYS[2], KEYS[3], ARGV[2])
return {'done', id}
