-- What there is to say for Prometheus of all queues and workers, at one moment. No job is looked at: projects in line are.
--
-- KEYS  1 tallies  2 delayed  3 leases  4 workers  5 webhooks with deliveries to try  6.. ready of each queue
-- ARGV  1 most projects of a queue that are looked at, those whose turn comes first  2 template of a project's ready set
--       (queue, project)  3.. names of the queues
-- Returns {now in ms, {tally, count, …}, delayed, leases, leases that have run out, {worker, …}, endpoints that are due,
--         then of each queue {project, jobs, when the oldest of them became ready (µs), …}}
local now, most = now_ms(), tonumber(ARGV[1])
local answer = {
  now, redis.call('HGETALL', KEYS[1]), redis.call('ZCARD', KEYS[2]), redis.call('ZCARD', KEYS[3]),
  redis.call('ZCOUNT', KEYS[3], '-inf', now), redis.call('HVALS', KEYS[4]), redis.call('ZCOUNT', KEYS[5], '-inf', now),
}
for n = 6, #KEYS do
  local line = {}
  for _, project in ipairs(redis.call('ZRANGE', KEYS[n], 0, most - 1)) do
    local ready = string.format(ARGV[2], ARGV[n - 3], project)
    line[#line + 1] = project
    line[#line + 1] = redis.call('ZCARD', ready)
    line[#line + 1] = redis.call('ZRANGE', ready, 0, 0, 'WITHSCORES')[2] or ''
  end
  answer[#answer + 1] = line
end
return answer
