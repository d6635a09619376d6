-- Forget deliveries of an endpoint that happened and ended long ago; and a URL of jobs that has none left.
--
-- KEYS  1 endpoint  2 its deliveries  3 those that are due
-- ARGV  1 project  2 endpoint id  3 happened before (ms)  4 most at a time
-- Returns how many
local last, gone = deliveries_of(tonumber(ARGV[3])), 0
for _, id in ipairs(redis.call('ZRANGE', KEYS[2], '-', '(' .. last, 'BYLEX', 'LIMIT', 0, ARGV[4])) do
  if not redis.call('ZSCORE', KEYS[3], id) then
    redis.call('ZREM', KEYS[2], id)
    redis.call('DEL', string.format(DELIVERY, ARGV[1], id))
    gone = gone + 1
  end
end
if string.sub(ARGV[2], 1, 4) == 'url_' and redis.call('EXISTS', KEYS[2]) == 0 then
  redis.call('DEL', KEYS[1])
  redis.call('ZREM', string.format(URLS, ARGV[1]), ARGV[2])
end
return gone
