-- Give a key a new secret. Those of before end after the overlap, or when they would have ended anyway.
--
-- KEYS  1 key
-- ARGV  1 project that the key must belong to  2 digest of the new secret  3 overlap (ms)  4 when the key expires now (ms),
--       or '' to leave that  5 most secrets that are good at a time: of those that end, the ones that end first go
-- Returns 'done' | 'unknown' | 'past' (the key would have expired already)
local key, now, new = KEYS[1], now_ms(), 'secret:' .. ARGV[2]
if redis.call('HGET', key, 'project') ~= ARGV[1] then return 'unknown' end
if redis.call('HEXISTS', key, new) == 1 then return 'done' end  -- the answer to this very call was lost
local expires = ARGV[4] ~= '' and ARGV[4] or redis.call('HGET', key, 'expires_at')
if expires and tonumber(expires) <= now then return 'past' end

local held, ending = redis.call('HGETALL', key), {}
for i = 1, #held, 2 do
  if string.sub(held[i], 1, 7) == 'secret:' then
    local till = math.min(tonumber(held[i + 1]) or math.huge, now + tonumber(ARGV[3]))
    ending[#ending + 1] = {held[i], till}
  end
end
table.sort(ending, function(one, other) return one[2] > other[2] end)
for place, secret in ipairs(ending) do
  if secret[2] > now and place < tonumber(ARGV[5]) then
    redis.call('HSET', key, secret[1], string.format('%.0f', secret[2]))
  else
    redis.call('HDEL', key, secret[1])
  end
end
redis.call('HSET', key, new, '', 'rotated_at', now)
if expires then redis.call('HSET', key, 'expires_at', expires) end
return 'done'
