-- Take the delivery that is due first, with a lease. An endpoint is called by one courier at a time. A delivery whose
-- courier was lost between the call and its record is due again when that lease has run out.
--
-- KEYS  1 what this token took
-- ARGV  1 token  2 lease in ms  3 most tries of a delivery  4 lines of the log that are kept  5.. projects to pass over
-- Returns {} when nothing is due, else {delivery, endpoint, secret of the project}, each a list of field, value
local token, lease, most = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local now, passed = now_ms(), {}
for i = 5, #ARGV do passed[ARGV[i]] = true end

local function answer(project, webhook, id)
  return {
    redis.call('HGETALL', string.format(DELIVERY, project, id)),
    redis.call('HGETALL', string.format(ENDPOINT, project, webhook)),
    redis.call('HGETALL', string.format(SECRET, project)),
  }
end

local before = redis.call('HMGET', KEYS[1], 'project', 'webhook', 'id')
if before[1] then return answer(unpack(before)) end  -- the answer to this very call was lost

local function take(project, webhook)
  local endpoint, due = string.format(ENDPOINT, project, webhook), string.format(DUE, project, webhook)
  if redis.call('HGET', endpoint, 'status') ~= 'enabled' then
    discard_due(project, webhook, 200)
    return nil
  end
  local id = redis.call('ZRANGEBYSCORE', due, '-inf', now, 'LIMIT', 0, 1)[1]
  if not id then return nil end
  local key = string.format(DELIVERY, project, id)
  local held = redis.call('HMGET', key, 'token', 'tries', 'taken_at')
  if held[1] then
    log_attempt(key, cjson.encode({at = tonumber(held[3]), error = 'worker_lost'}), tonumber(ARGV[4]))
  end
  if tonumber(held[2]) >= most then
    redis.call('HDEL', key, 'token')
    end_delivery(project, webhook, id, 'failed')
    return nil
  end
  redis.call('HINCRBY', key, 'tries', 1)
  redis.call('HINCRBY', key, 'attempts', 1)
  redis.call('HSET', key, 'token', token, 'taken_at', now)
  redis.call('HSET', endpoint, 'busy_until', now + lease)
  redis.call('ZADD', due, now + lease, id)
  redis.call('HSET', KEYS[1], 'project', project, 'webhook', webhook, 'id', id)
  redis.call('PEXPIRE', KEYS[1], lease)
  return id
end

for _, member in ipairs(redis.call('ZRANGEBYSCORE', ALL_DUE, '-inf', now, 'LIMIT', 0, 200)) do
  local project, webhook = string.match(member, '^([^/]+)/(.+)$')
  if not passed[project] then
    local id = take(project, webhook)
    line_up_endpoint(project, webhook)
    if id then return answer(project, webhook, id) end
  end
end
return {}
