-- Cancel a queued job at once; ask the supervisor of a running one to stop it, or those of its shards.
--
-- KEYS  1 job  2 events  3 index: queued  4 index: cancelled  5 ready  6 ready of the project  7 delayed
--       8 index: running
-- ARGV  1 job id  2 project  3 member
-- Returns 'unknown' | 'terminal' | 'cancelled' | 'requested' | 'again'
local job, id = KEYS[1], ARGV[1]
local held = redis.call('HMGET', job, 'status', 'cancel_requested_at', 'attempt')
local status, now = held[1], now_ms()

if not status then return 'unknown' end
if status == 'queued' then
  redis.call('HSET', job, 'status', 'cancelled', 'cancel_requested_at', now, 'finished_at', now)
  touch(job)
  count_ended(job, 'cancelled')
  move(KEYS[3], KEYS[4], id)
  redis.call('ZREM', KEYS[6], id)
  if redis.call('EXISTS', KEYS[6]) == 0 then redis.call('ZREM', KEYS[5], ARGV[2]) end
  redis.call('ZREM', KEYS[7], ARGV[3])
  release_uses(job, id)
  record(KEYS[2], 'cancelled', 'cancelled', held[3], 'on request')
  announce(job, 'job.cancelled')
  return 'cancelled'
end
if status ~= 'running' then return 'terminal' end
if held[2] then return 'again' end
redis.call('HSET', job, 'cancel_requested_at', now)
touch(job)
record(KEYS[2], 'cancel_requested', 'running', held[3], 'on request')
if redis.call('HEXISTS', job, 'shards') == 1 and redis.call('HEXISTS', job, 'token') == 0
  and stop_shards(job, KEYS[5], KEYS[6], KEYS[7], ARGV[2]) == 0 then
  end_stopped(job, KEYS[2], KEYS[8], KEYS[4], 'cancelled', id)
  return 'cancelled'
end
return 'requested'
