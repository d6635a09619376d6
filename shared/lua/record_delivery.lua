-- Write down what came of an attempt at a delivery, if it is still the caller's: it has ended, or is tried again. An
-- endpoint that is gone, or has failed for long, is switched off.
--
-- KEYS  1 delivery  2 endpoint
-- ARGV  1 token  2 project  3 endpoint id  4 delivery id  5 'succeeded' | 'failed' | 'gone'  6 the attempt, JSON
--       7 ms until it is tried again, '' if it is not  8 ms for which the endpoint is left alone
--       9, 10 an endpoint that has failed so many times in a row, and for so long (ms), is switched off
--       11 lines of the log that are kept  12 deliveries of an endpoint that are kept, besides those that wait
-- Returns 'done' | 'lost'
local delivery, endpoint, token, project, webhook, id = KEYS[1], KEYS[2], ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local outcome, now = ARGV[5], now_ms()
local held = redis.call('HMGET', delivery, 'token', 'recorded_by')
if held[2] == token then return 'done' end  -- the answer to this very call was lost
if held[1] ~= token then return 'lost' end

log_attempt(delivery, ARGV[6], tonumber(ARGV[11]))
redis.call('HSET', delivery, 'recorded_by', token)
redis.call('HDEL', delivery, 'token')
redis.call('HINCRBY', COUNTS, project .. '/' .. outcome, 1)
redis.call('HSET', endpoint, 'busy_until', now + tonumber(ARGV[8]))
if outcome == 'succeeded' then
  redis.call('HDEL', endpoint, 'failing_since', 'failures')
  end_delivery(project, webhook, id, 'succeeded')
else
  redis.call('HSETNX', endpoint, 'failing_since', now)
  local failures = redis.call('HINCRBY', endpoint, 'failures', 1)
  local since = tonumber(redis.call('HGET', endpoint, 'failing_since'))
  local off = outcome == 'gone' and 'gone'
    or failures >= tonumber(ARGV[9]) and now - since >= tonumber(ARGV[10]) and 'failing'
  if off or ARGV[7] == '' then
    end_delivery(project, webhook, id, 'failed')
  else
    local next = now + tonumber(ARGV[7])
    redis.call('HSET', delivery, 'next_at', next)
    redis.call('ZADD', string.format(DUE, project, webhook), next, id)
  end
  if off then
    redis.call('HSET', endpoint, 'status', 'disabled', 'disabled_reason', off, 'disabled_at', now)
    discard_due(project, webhook, 1000)
  end
end

-- The oldest that have ended make room, a few at a time.
local all, due = string.format(DELIVERIES, project, webhook), string.format(DUE, project, webhook)
local over = math.min(redis.call('ZCARD', all) - redis.call('ZCARD', due) - tonumber(ARGV[12]), 10)
for _, oldest in ipairs(over > 0 and redis.call('ZRANGE', all, 0, 49) or {}) do
  if over > 0 and not redis.call('ZSCORE', due, oldest) then
    redis.call('ZREM', all, oldest)
    redis.call('DEL', string.format(DELIVERY, project, oldest))
    over = over - 1
  end
end
line_up_endpoint(project, webhook)
return 'done'
