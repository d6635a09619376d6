-- What the workers have to do: what runs since when, what waits, who works, and how long such jobs took lately.
--
-- KEYS  1 leases  2 workers  3 durations  4.. ready of each queue
-- ARGV  1 most running jobs told  2 most projects of a queue, and most jobs of each of them, that are told
--       3 template of a job (project, id)  4 of a project's ready set (queue, project)  5.. names of the queues
-- Returns {now in ms, {worker, …}, {type, ms, …}, {type, ms since it was claimed, …}, {type of a job that waits, …} of each
--         queue}
local now, most, job = now_ms(), tonumber(ARGV[2]), ARGV[3]

local running = {}
for _, member in ipairs(redis.call('ZRANGE', KEYS[1], 0, tonumber(ARGV[1]) - 1)) do
  local project, id = string.match(member, '^([^/]+)/(.+)$')
  local held = redis.call('HMGET', string.format(job, project, id), 'type', 'attempt_started_at')
  if held[2] then
    running[#running + 1] = held[1]
    running[#running + 1] = math.max(0, now - tonumber(held[2]))
  end
end

local answer = {now, redis.call('HVALS', KEYS[2]), redis.call('HGETALL', KEYS[3]), running}
for n = 4, #KEYS do
  local types = {}
  for _, project in ipairs(redis.call('ZRANGE', KEYS[n], 0, most - 1)) do
    for _, id in ipairs(redis.call('ZRANGE', string.format(ARGV[4], ARGV[1 + n], project), 0, most - 1)) do
      types[#types + 1] = redis.call('HGET', string.format(job, project, id), 'type') or ''
    end
  end
  answer[#answer + 1] = types
end
return answer
