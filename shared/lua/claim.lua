-- Give the queue's next job, or shard of one, to a worker, with a fresh token and a lease. The project whose last turn
-- is longest ago has the next one.
-- If jobs remain and no wake-up lies in the queue (one was lost), a new one is left for the next worker.
--
-- KEYS  1 ready  2 leases  3 Celery list  4 what this token claimed
-- ARGV  1 worker  2 token  3 lease in ms  4 permitted source state  10 wake-up
--       5.. key templates with the project (and id) as %s: ready of a project, job, events, index queued, index running
-- Returns {} when nothing is ready, else {project, id}
local ready, leases = KEYS[1], KEYS[2]
local worker, token, lease, source = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
local now = now_ms()

local before = redis.call('HMGET', KEYS[4], 'project', 'id')
if before[1] then return before end  -- the answer to this very call was lost

while true do
  local project = redis.call('ZRANGE', ready, 0, 0)[1]
  if not project then return {} end
  local ready_of = string.format(ARGV[5], project)
  local id = redis.call('ZPOPMIN', ready_of)[1]
  local job = id and string.format(ARGV[6], project, id)
  local claimed = job and redis.call('HGET', job, 'status') == source
  if claimed then redis.call('HSET', served_in(ready), project, turn()) end
  redis.call('ZREM', ready, project)
  if redis.call('EXISTS', ready_of) == 1 then line_up(ready, project) end
  if claimed then
    local held = redis.call('HMGET', job, 'attempt', 'uncharged')
    local attempt = tonumber(held[1])
    if held[2] ~= '1' then attempt = attempt + 1 end
    redis.call('HSET', job, 'status', 'running', 'attempt', attempt, 'token', token,
      'worker', worker, 'attempt_started_at', now)
    local first = redis.call('HSETNX', job, 'started_at', now) == 1
    touch(job)
    local of = redis.call('HGET', job, 'shard_of')
    local whole = of and string.format(ARGV[6], project, of)
    if of then
      move(shards_in(whole, 'queued'), shards_in(whole, 'running'), id)
      make_next_shard_ready(whole, ready, ready_of, project)
    else
      move(string.format(ARGV[8], project), string.format(ARGV[9], project), id)
    end
    if first and not of then
      announce(job, 'job.started')
      local made = redis.call('HMGET', job, 'priority', 'created_at')
      tally_duration('job_wait', made[1], now - tonumber(made[2]))
    end
    redis.call('ZADD', leases, now + lease, project .. '/' .. id)
    record(of and '' or string.format(ARGV[7], project, id), 'claimed', 'running', attempt, worker)
    if redis.call('EXISTS', ready) == 1 and redis.call('EXISTS', KEYS[3]) == 0 then
      redis.call('LPUSH', KEYS[3], ARGV[10])
    end
    redis.call('HSET', KEYS[4], 'project', project, 'id', id)
    redis.call('PEXPIRE', KEYS[4], lease)
    return {project, id}
  end
end
