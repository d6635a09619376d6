-- Accept a job: idempotency, quota, existence of what it uses, hash, indexes and wake-up in one step.
--
-- KEYS  1 job  2 events  3 index: queued  4 index: running  5 ready  6 ready of the project  7 Celery list
--       8 idempotency  9 projects  then `n_indexes` other indexes, then `n_uses` pairs: record that must exist, set of
--       its users; then, if the job is a schedule's occurrence, its keys (see _occurrences.lua)
-- ARGV  1 job id  2 project  3 most live jobs  4 digest of the body ('' without an Idempotency-Key)
--       5 seconds to keep it  6 wake-up  7 n_indexes  8 n_uses  9 n_fields  10 most bytes that the project may keep before
--       it is refused (0: any number)  then field, value of the hash, then the occurrence's arguments
-- Returns {'accepted', when} | {'known', the hash} (the client sent this very call again) | {'replayed', the hash}
--         | {'mismatch'} | {'quota'} | {'full'}
--         | {'gone', position of the missing record} | {'overlaps'}
--         | {'decided'} (the occurrence is not this caller's to decide any more)
local id, project, digest = ARGV[1], ARGV[2], ARGV[4]
local job, idempotency = KEYS[1], KEYS[8]

if redis.call('EXISTS', job) == 1 then return {'known', redis.call('HGETALL', job)} end
if digest ~= '' then
  local seen = redis.call('HMGET', idempotency, 'digest', 'job')
  if seen[1] == digest then return {'replayed', redis.call('HGETALL', string.sub(job, 1, -#id - 1) .. seen[2])} end
  if seen[1] then return {'mismatch'} end
end
local first_use = 10 + tonumber(ARGV[7])
local last_use = first_use - 1 + 2 * tonumber(ARGV[8])
local last_field = 10 + 2 * tonumber(ARGV[9])
local occurrence = KEYS[last_use + 1] and occurrence_at(last_use + 1, last_field + 1)
if occurrence and not is_undecided(occurrence) then return {'decided'} end
if occurrence and overlaps(occurrence) then return {'overlaps'} end
if redis.call('ZCARD', KEYS[3]) + redis.call('ZCARD', KEYS[4]) >= tonumber(ARGV[3]) then return {'quota'} end
if is_over(job, 1, ARGV[10]) then return {'full'} end

for i = first_use, last_use, 2 do
  if redis.call('EXISTS', KEYS[i]) == 0 then return {'gone', (i - first_use) / 2} end
end

local now = now_ms()
local uses = {}
for i = first_use, last_use, 2 do
  redis.call('SADD', KEYS[i + 1], id)
  uses[#uses + 1] = KEYS[i + 1]
end
redis.call('HSET', job, 'created_at', now, 'uses', table.concat(uses, ' '), unpack(ARGV, 11, last_field))
redis.call('ZADD', KEYS[3], 0, id)
for i = 10, first_use - 1 do redis.call('ZADD', KEYS[i], 0, id) end
redis.call('SADD', KEYS[9], project)
record(KEYS[2], 'submitted', 'queued', 0, '')
announce(job, 'job.queued')
tally(1, 'accepted', redis.call('HGET', job, 'type'))
if digest ~= '' then
  redis.call('HSET', idempotency, 'digest', digest, 'job', id)
  redis.call('EXPIRE', idempotency, ARGV[5])
end
if occurrence then decide(occurrence, 'job', id) end
make_ready(KEYS[5], KEYS[6], project, id)
redis.call('LPUSH', KEYS[7], ARGV[6])
return {'accepted', now}
