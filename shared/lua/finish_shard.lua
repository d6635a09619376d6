-- End a shard. The last one to succeed hands its job to the caller to be closed, under a lease of its own; the first
-- one to fail stops the others, and the last of those to stop ends the job.
--
-- KEYS  1 shard  2 leases  3 job  4 events of the job  5 index: running jobs  6 failed  7 cancelled
--       8 ready  9 ready of the project  10 delayed
-- ARGV  1 token  2 member  3 shard id  4 job id  5 project  6 final state  7 reason
--       8 'expired': only if the lease has run out (a rescuer asks), else ''
--       9 rows that it accounts for  10 those that could not be scored  11 error of the job if this is the end of it
--       12 token of the closing  13 member of the job  14 lease in ms  15 worker  16 what it used, as JSON ('' for what its
--       attempts have noted)  17.. field, value of the shard
-- Returns {'done', ''} | {'close', its token} | {'lost', ''}
local shard, job, id, state, now = KEYS[1], KEYS[3], ARGV[3], ARGV[6], now_ms()
local held = redis.call('HMGET', shard, 'finished_by', 'closing_token')
if held[1] == ARGV[1] then  -- the answer to this very call was lost
  return {held[2] and 'close' or 'done', held[2] or ''}
end
if not holds(shard, ARGV[1], KEYS[2], ARGV[2], ARGV[8]) then return {'lost', ''} end

local is_lost = ARGV[8] == 'expired'
tally_attempt(shard, is_lost and 'lost' or state, state == 'failed' and ARGV[7])
if is_lost then tally(1, 'rescues', state) end
if state == 'succeeded' then
  tally(ARGV[9] - ARGV[10], 'rows', 'scored')
  tally(ARGV[10], 'rows', 'failed')
end
set_fields(shard, 17)
redis.call('HSET', shard, 'status', state, 'finished_at', now, 'finished_by', ARGV[1])
redis.call('HDEL', shard, 'token')
touch(shard)
move(shards_in(job, 'running'), shards_in(job, state), id)
redis.call('ZREM', KEYS[2], ARGV[2])

local whole = redis.call('HMGET', job, 'attempt', 'failed_allowed')
add_usage(job, ARGV[16] ~= '' and ARGV[16] or redis.call('HGET', shard, 'usage'))
count_scored(job, shard, state == 'succeeded' and tonumber(ARGV[9]) or 0)
local failed = state == 'succeeded' and redis.call('HINCRBY', job, 'rows_failed', ARGV[10]) or 0
if state == 'failed' or failed > tonumber(whole[2]) then
  if redis.call('HSETNX', job, 'error', ARGV[11]) == 1 then
    record(KEYS[4], 'shard_failed', 'running', whole[1], id .. ': ' .. ARGV[7])
  end
end

local stop = redis.call('HMGET', job, 'cancel_requested_at', 'error')
if stop[1] or stop[2] then
  if stop_shards(job, KEYS[8], KEYS[9], KEYS[10], ARGV[5]) == 0 then
    end_stopped(job, KEYS[4], KEYS[5], stop[1] and KEYS[7] or KEYS[6], stop[1] and 'cancelled' or 'failed', ARGV[4])
  end
elseif redis.call('EXISTS', shards_in(job, 'queued'), shards_in(job, 'running')) == 0 then
  redis.call('HSET', shard, 'closing_token', ARGV[12])
  redis.call('HSET', job, 'token', ARGV[12], 'worker', ARGV[15], 'attempt_started_at', now)
  redis.call('ZADD', KEYS[2], now + tonumber(ARGV[14]), ARGV[13])
  touch(job)
  record(KEYS[4], 'closing', 'running', whole[1], ARGV[15])
  return {'close', ARGV[12]}
end
touch(job)
return {'done', ''}
