-- End a running job: its terminal state, its result and its one effect (a model version), all or nothing.
--
-- KEYS  1 job  2 events  3 leases  4 index: running  5 index: the final state
--       with a model version: 6 model  7 its versions  8 the project's models  9 what outlives the model
--       10 index: versions made from its parent (if it has one)
-- ARGV  1 token  2 member  3 job id  4 final state  5 permitted source states  6 reason
--       7 'expired': only if the lease has run out (a rescuer asks), else ''
--       8 n: how many fields of the hash follow, then n field, value pairs
--       with a model version: template of its key (%d the number), model name, description and tags ('' to keep),
--       the number that it must get (0: any), then field, value pairs of the version
-- Returns {'done', version | 0} | {'again', version | 0} (sent again: nothing has changed) | {'lost', 0} | {'taken', 0}: the next version's number is another one
local job, leases = KEYS[1], KEYS[3]
local id, state, now = ARGV[3], ARGV[4], now_ms()

local held = redis.call('HMGET', job, 'token', 'status', 'attempt', 'finished_by', 'model_version')
if held[4] == ARGV[1] then return {'again', tonumber(held[5] or 0)} end  -- the answer to this very call was lost
if held[1] ~= ARGV[1] or not string.find(ARGV[5], held[2] or '?', 1, true) then return {'lost', 0} end
if ARGV[7] == 'expired' then
  local deadline = redis.call('ZSCORE', leases, ARGV[2])
  if deadline and tonumber(deadline) > now then return {'lost', 0} end
end

local last, version, remains = 8 + 2 * tonumber(ARGV[8]), 0, {}
if KEYS[6] then
  -- A number is given out once, whatever has been deleted since.
  remains = redis.call('HMGET', KEYS[9], 'number', 'revision')
  local latest, wanted = redis.call('HGET', KEYS[6], 'latest_version'), tonumber(ARGV[last + 5])
  version = 1 + math.max(tonumber(remains[1] or 0), tonumber(latest or 0))
  if wanted ~= 0 and wanted ~= version then return {'taken', 0} end
end
local is_lost = ARGV[7] == 'expired'
tally_attempt(job, is_lost and 'lost' or state, state == 'failed' and ARGV[6])
if is_lost then tally(1, 'rescues', state) end
for i = 9, last, 2 do redis.call('HSET', job, ARGV[i], ARGV[i + 1]) end

if KEYS[6] then
  local model, name = KEYS[6], ARGV[last + 2]
  redis.call('HSET', KEYS[9], 'number', version)
  redis.call('HSETNX', model, 'name', name)
  redis.call('HSETNX', model, 'created_at', now)
  if remains[2] then redis.call('HSETNX', model, 'revision', remains[2]) end
  redis.call('HSET', model, 'latest_version', version, 'updated_at', now)
  touch(model)
  if ARGV[last + 3] ~= '' then redis.call('HSET', model, 'description', ARGV[last + 3]) end
  if ARGV[last + 4] ~= '' then redis.call('HSET', model, 'tags', ARGV[last + 4]) end
  redis.call('ZADD', KEYS[7], version, version)
  redis.call('ZADD', KEYS[8], 0, name)
  local key = string.format(ARGV[last + 1], version)
  set_fields(key, last + 6)
  redis.call('HSET', key, 'version', version, 'created_at', now)
  redis.call('HSET', job, 'model_version', version)
  keep_bytes(job, 'artifacts', redis.call('HGET', key, 'bytes'))
  if KEYS[10] then redis.call('ZADD', KEYS[10], now, name .. ':' .. version) end
end

redis.call('HSET', job, 'status', state, 'finished_at', now, 'finished_by', ARGV[1])
redis.call('HDEL', job, 'token', 'checkpoint')
count_ended(job, state)
if state == 'succeeded' and redis.call('HEXISTS', job, 'split_at') == 0 then tally_rows(redis.call('HGET', job, 'counts')) end
keep_bytes(job, 'outputs', redis.call('HGET', job, 'stored_bytes'))
if state == 'succeeded' then drop_shards(job) end
touch(job)
move(KEYS[4], KEYS[5], id)
redis.call('ZREM', leases, ARGV[2])
release_uses(job, id)
record(KEYS[2], state, state, held[3], ARGV[6])
announce(job, 'job.' .. state)
return {'done', version}
