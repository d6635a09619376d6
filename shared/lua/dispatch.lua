-- Make due retries ready, and make up for lost wake-ups.
-- A queue whose next job has been ready for a while, and that has no wake-up lying in it, gets one.
--
-- KEYS  1 delayed, then per queue: ready, Celery list
-- ARGV  1 most jobs to move  2 oldest permitted wait in ms
--       3.. templates: job (project, id), ready of a project and queue (queue, project)
--       then per queue: its name, then one wake-up
-- Returns {jobs made ready, wake-ups pushed}
local now, moved, pushed = now_ms(), 0, 0
local job_template, ready_template = ARGV[3], ARGV[4]
local queues = {}
for i = 2, #KEYS, 2 do
  local n = i / 2
  queues[ARGV[3 + 2 * n]] = {ready = KEYS[i], list = KEYS[i + 1], wake = ARGV[4 + 2 * n]}
end

for _, member in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[1])) do
  local project, id = string.match(member, '^([^/]+)/(.+)$')
  local queue = redis.call('HGET', string.format(job_template, project, id), 'priority')
  redis.call('ZREM', KEYS[1], member)
  if queue and queues[queue] then
    make_ready(queues[queue].ready, string.format(ready_template, queue, project), project, id)
    redis.call('LPUSH', queues[queue].list, queues[queue].wake)
    moved = moved + 1
  end
end

for name, queue in pairs(queues) do
  local project = redis.call('ZRANGE', queue.ready, 0, 0)[1]
  local oldest = project and redis.call('ZRANGE', string.format(ready_template, name, project), 0, 0, 'WITHSCORES')[2]
  if oldest and now - tonumber(oldest) / 1000 > tonumber(ARGV[2]) and redis.call('LLEN', queue.list) == 0 then
    redis.call('LPUSH', queue.list, queue.wake)
    pushed = pushed + 1
  end
end
return {moved, pushed}
