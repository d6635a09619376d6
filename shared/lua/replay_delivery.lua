-- Deliver again what has ended, or at once what waits; with all tries anew. What is being tried at the moment stays.
--
-- KEYS  1 endpoint  2 its deliveries
-- ARGV  1 project  2 endpoint id  3 '' for all that have failed or were discarded, else the delivery
--       4 of all: that happened since (ms)  5 of all: most
-- Returns -1 for an endpoint that is switched off, -2 for an unknown delivery, else how many are delivered again
local project, webhook, now = ARGV[1], ARGV[2], now_ms()
if redis.call('HGET', KEYS[1], 'status') ~= 'enabled' then return -1 end

local function replay(id)
  local key = string.format(DELIVERY, project, id)
  redis.call('HSET', key, 'status', 'pending', 'tries', 0, 'next_at', now)
  redis.call('HDEL', key, 'ended_at')
  redis.call('ZADD', string.format(DUE, project, webhook), now, id)
end

local count = 0
if ARGV[3] ~= '' then
  if not redis.call('ZSCORE', KEYS[2], ARGV[3]) then return -2 end
  if redis.call('HEXISTS', string.format(DELIVERY, project, ARGV[3]), 'token') == 1 then return 0 end
  replay(ARGV[3])
  count = 1
else
  local first, most = deliveries_of(tonumber(ARGV[4])), tonumber(ARGV[5])
  -- Ids are in the order of time: those from `since` on begin here.
  for _, id in ipairs(redis.call('ZRANGE', KEYS[2], '[' .. first, '+', 'BYLEX')) do
    local status = redis.call('HGET', string.format(DELIVERY, project, id), 'status')
    if status == 'failed' or status == 'discarded' then
      replay(id)
      count = count + 1
      if count == most then break end
    end
  end
end
line_up_endpoint(project, webhook)
wake_courier(webhook .. now)
return count
