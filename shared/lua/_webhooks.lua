-- Webhooks: who is told of an event is written down in the step in which it happens; couriers deliver it afterwards.
-- Keys are spelled by shared.keys and stand before this file as constants: scripts that change a job need not know them.

local CROCKFORD = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'

local function crockford(number, digits)
  local text = ''
  for _ = 1, digits do
    local digit = number % 32
    text = string.sub(CROCKFORD, digit + 1, digit + 1) .. text
    number = (number - digit) / 32
  end
  return text
end

-- What the ids of deliveries of a millisecond, and of none before it, begin with.
local function deliveries_of(ms)
  return 'dlv_' .. crockford(ms, 10)
end

-- An id in the order of time, as a ULID is, and within a millisecond too: what happens first is told first. `what` makes
-- it the only one.
local function delivery_id(now, what)
  local within = tonumber(time_of_day()[2]) % 1000
  return deliveries_of(now) .. crockford(within, 2) .. string.upper(string.sub(redis.sha1hex(what), 1, 14))
end

-- Put an endpoint in line for when its next delivery is due, but not while it is busy or left alone.
local function line_up_endpoint(project, webhook)
  local next = redis.call('ZRANGE', string.format(DUE, project, webhook), 0, 0, 'WITHSCORES')
  local member = project .. '/' .. webhook
  if not next[1] then return redis.call('ZREM', ALL_DUE, member) end
  local busy = tonumber(redis.call('HGET', string.format(ENDPOINT, project, webhook), 'busy_until') or 0)
  redis.call('ZADD', ALL_DUE, string.format('%.0f', math.max(tonumber(next[2]), busy)), member)
end

-- Wake a courier, unless a wake-up lies there already: they are all alike.
local function wake_courier(what)
  if redis.call('EXISTS', COURIER) == 0 then
    redis.call('LPUSH', COURIER, (string.gsub(COURIER_WAKE_UP, '%%s', redis.sha1hex(what))))
  end
end

-- One event for one endpoint, due now; with more field, value pairs. Returns its id.
local function add_delivery(project, webhook, event, message, ...)
  local now = now_ms()
  local id = delivery_id(now, project .. webhook .. message)
  redis.call('HSET', string.format(DELIVERY, project, id), 'id', id, 'project', project, 'webhook', webhook,
    'event', event, 'message', message, 'occurred_at', now, 'status', 'pending', 'tries', 0, 'attempts', 0,
    'next_at', now, ...)
  redis.call('ZADD', string.format(DELIVERIES, project, webhook), 0, id)
  redis.call('ZADD', string.format(DUE, project, webhook), now, id)
  line_up_endpoint(project, webhook)
  wake_courier(id)
  return id
end

-- For each endpoint of the project that asked for the event.
local function tell_endpoints(project, event, message, ...)
  for _, webhook in ipairs(redis.call('ZRANGE', string.format(ENDPOINTS, project), 0, -1)) do
    local held = redis.call('HMGET', string.format(ENDPOINT, project, webhook), 'status', 'events')
    if held[1] == 'enabled' and string.find(' ' .. held[2] .. ' ', ' ' .. event .. ' ', 1, true) then
      add_delivery(project, webhook, event, message, ...)
    end
  end
end

-- A job has entered a state: its project's endpoints are told, and at its end the URL that it names itself.
local function announce(job, event)
  local project = string.match(job, '^graft:p:([^:]+)')
  local ends = event ~= 'job.queued' and event ~= 'job.started'
  if not ends and redis.call('EXISTS', string.format(ENDPOINTS, project)) == 0 then return end
  local held = redis.call('HMGET', job, 'id', 'webhook_url')
  local id, url = held[1], held[2]
  local message = string.gsub(id, '^job_', 'msg_') .. '_' .. string.gsub(event, '^job%.', '')
  tell_endpoints(project, event, message, 'job', id)
  if not url or not ends then return end
  local webhook = 'url_' .. redis.sha1hex(url)
  redis.call('HSET', string.format(ENDPOINT, project, webhook), 'id', webhook, 'project', project, 'url', url,
    'status', 'enabled')
  redis.call('ZADD', string.format(URLS, project), 0, webhook)
  redis.call('HSET', job, 'delivery', add_delivery(project, webhook, event, message, 'job', id))
end

-- A delivery has ended, or there is nobody to deliver it to any more.
local function end_delivery(project, webhook, id, status)
  local key = string.format(DELIVERY, project, id)
  redis.call('HSET', key, 'status', status, 'ended_at', now_ms())
  redis.call('HDEL', key, 'next_at')
  redis.call('ZREM', string.format(DUE, project, webhook), id)
end

local function discard_due(project, webhook, most)
  local due = redis.call('ZRANGE', string.format(DUE, project, webhook), 0, most - 1)
  for _, id in ipairs(due) do end_delivery(project, webhook, id, 'discarded') end
end

-- One line of what was tried; the newest are kept.
local function log_attempt(key, attempt, kept)
  local n = tonumber(redis.call('HGET', key, 'attempts'))
  redis.call('HSET', key, 'attempt:' .. n, attempt)
  redis.call('HDEL', key, 'attempt:' .. (n - kept))
end
