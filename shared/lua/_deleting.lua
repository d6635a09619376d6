-- Deleting what others may refer to: what refers to it is named, and of a version a tombstone stays for its lineage.

-- The first of a list: enough to say what stands in the way.
local function some(list)
  local found = {}
  for i = 1, math.min(#list, 100) do found[i] = list[i] end
  return found
end

-- The schedule no longer names what its job named.
local function unname(schedule, id)
  for key in string.gmatch(redis.call('HGET', schedule, 'names') or '', '%S+') do redis.call('SREM', key, id) end
end

-- Take a version away. Its tombstone keeps what lineage goes through; its job need not be kept for it any more.
local function bury(version, users, schedules, tombstone, job_template, by)
  local fields = {'name', 'version', 'task', 'job', 'dataset', 'parent', 'sha256', 'created_at'}
  local held = redis.call('HMGET', version, unpack(fields))
  for i, field in ipairs(fields) do
    if held[i] then redis.call('HSET', tombstone, field, held[i]) end
  end
  redis.call('HSET', tombstone, 'deleted_at', now_ms())
  if by ~= '' then redis.call('HSET', tombstone, 'deleted_by', by) end
  local job = held[4] and string.format(job_template, held[4])
  if job and redis.call('EXISTS', job) == 1 then redis.call('HSET', job, 'version_deleted', 1) end
  keep_bytes(version, 'artifacts', -tonumber(redis.call('HGET', version, 'bytes') or 0))
  redis.call('DEL', version, users, schedules)
end
