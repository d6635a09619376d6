-- Give a running job back to its queue: for a retry, a rescue, or because its worker is stopping.
--
-- KEYS  1 job  2 events  3 leases  4 index: running  5 index: queued  6 ready  7 ready of the project
--       8 delayed  9 Celery list  with a shard: 10 the job that it is part of  11 the job's events
-- ARGV  1 token  2 member  3 job id  4 project  5 permitted source states  6 reason
--       7 'expired': only if the lease has run out (a rescuer asks), else ''
--       8 delay in ms  9 '1': an interruption, which is not charged as an attempt  10 wake-up
--       11 so many interruptions of one job are not charged; later ones are
-- Returns 'done' | 'lost' | 'cancel' (nothing changed: the caller ends the job as cancelled)
--         | 'spent' (nothing changed: interrupted too often, and no attempt is left; the caller ends it as failed)
local job, leases = KEYS[1], KEYS[3]
local id, project, now = ARGV[3], ARGV[4], now_ms()

local held = redis.call('HMGET', job, 'token', 'status', 'attempt', 'cancel_requested_at', 'interruptions', 'max_attempts')
if held[1] ~= ARGV[1] or not string.find(ARGV[5], held[2] or '?', 1, true) then return 'lost' end
if ARGV[7] == 'expired' then
  local deadline = redis.call('ZSCORE', leases, ARGV[2])
  if deadline and tonumber(deadline) > now then return 'lost' end
end
if held[4] then return 'cancel' end

local uncharged = 0
if ARGV[9] == '1' then
  if tonumber(held[5]) < tonumber(ARGV[11]) then
    uncharged = 1
  elseif tonumber(held[3]) >= tonumber(held[6]) then
    return 'spent'
  end
  redis.call('HINCRBY', job, 'interruptions', 1)
end
local is_lost = ARGV[7] == 'expired'
if is_lost then
  tally_attempt(job, 'lost', ARGV[6])
  tally(1, 'rescues', 'requeued')
else
  tally_attempt(job, ARGV[9] == '1' and 'interrupted' or 'retried', ARGV[9] ~= '1' and ARGV[6])
end
redis.call('HSET', job, 'status', 'queued', 'uncharged', uncharged)
redis.call('HDEL', job, 'token', 'worker', 'progress', 'counts')
touch(job)
move(KEYS[4], KEYS[5], id)
redis.call('ZREM', leases, ARGV[2])
record(KEYS[2], 'requeued', 'queued', held[3], ARGV[6])
if KEYS[10] then
  count_scored(KEYS[10], job, 0)
  record(KEYS[11], 'shard_requeued', 'running', redis.call('HGET', KEYS[10], 'attempt'), id .. ': ' .. ARGV[6])
end

local delay = tonumber(ARGV[8])
if delay > 0 then
  redis.call('ZADD', KEYS[8], now + delay, ARGV[2])
else
  make_ready(KEYS[6], KEYS[7], project, id)
  redis.call('LPUSH', KEYS[9], ARGV[10])
end
return 'done'
