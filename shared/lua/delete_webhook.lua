-- Forget an endpoint with its deliveries.
--
-- KEYS  1 endpoint  2 the project's endpoints
-- ARGV  1 endpoint id  2 project
-- Returns 1, or 0 if there is none
local id, project = ARGV[1], ARGV[2]
if redis.call('ZREM', KEYS[2], id) == 0 then return 0 end
local all = string.format(DELIVERIES, project, id)
for _, delivery in ipairs(redis.call('ZRANGE', all, 0, -1)) do
  redis.call('DEL', string.format(DELIVERY, project, delivery))
end
redis.call('DEL', KEYS[1], all, string.format(DUE, project, id))
line_up_endpoint(project, id)
return 1
