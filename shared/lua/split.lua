-- Split a running job into shards. Its attempt ends; from now on the shards are claimed, leased and ended one by one.
--
-- KEYS  1 job  2 events  3 leases  4 ready  5 ready of the project  6 Celery list
-- ARGV  1 token  2 member  3 job id  4 project  5 wake-up  6 n: how many fields of the job follow, then n field, value
--       pairs, then for each shard: its id, its state (queued, or succeeded when an earlier job has scored it), rows
--       scored, rows failed, its pieces, its result ('' while queued)
-- Returns 'done' | 'lost' | 'cancel' (nothing changed: the caller ends the job as cancelled)
--         | 'complete' (every shard is there already: the caller, whose lease goes on, closes the job)
local job, id, project, now = KEYS[1], ARGV[3], ARGV[4], now_ms()
local held = redis.call('HMGET', job, 'split_by', 'cancel_requested_at', 'attempt', 'priority', 'max_attempts', 'request_id', 'traceparent')
if held[1] == ARGV[1] then return redis.call('HGET', job, 'split_answer') end  -- the answer to this very call was lost
if not holds(job, ARGV[1], KEYS[3], ARGV[2]) then return 'lost' end
if held[2] then return 'cancel' end

local first = 7 + 2 * tonumber(ARGV[6])
for i = 7, first - 1, 2 do redis.call('HSET', job, ARGV[i], ARGV[i + 1]) end
local count, scored, failed, open = 0, 0, 0, 0
for i = first, #ARGV, 6 do
  local shard, state = shard_key(job, ARGV[i]), ARGV[i + 1]
  redis.call('HSET', shard, 'id', ARGV[i], 'project', project, 'shard_of', id, 'type', 'shard', 'status', state,
    'priority', held[4], 'attempt', 0, 'max_attempts', held[5], 'interruptions', 0, 'created_at', now, 'revision', 1,
    'request_id', held[6] or '', 'traceparent', held[7] or '', 'rows_scored', ARGV[i + 2], 'pieces', ARGV[i + 4])
  if state == 'queued' then
    redis.call('ZADD', shards_in(job, 'pending'), count, ARGV[i])
    open = open + 1
  else
    redis.call('HSET', shard, 'result', ARGV[i + 5])
  end
  redis.call('ZADD', shards_in(job, state), 0, ARGV[i])
  count, scored, failed = count + 1, scored + tonumber(ARGV[i + 2]), failed + tonumber(ARGV[i + 3])
end

local answer = open > 0 and 'done' or 'complete'
if open > 0 then tally_attempt(job, 'split') end
redis.call('HSET', job, 'shards', count, 'rows_scored', scored, 'rows_failed', failed, 'rows_at_split', scored,
  'split_at', now, 'scored_at', now, 'split_by', ARGV[1], 'split_answer', answer)
touch(job)
record(KEYS[2], 'split', 'running', held[3], string.format('%d shards, %d of them scored already', count, count - open))
if open > 0 then
  redis.call('HDEL', job, 'token', 'worker', 'progress')
  redis.call('ZREM', KEYS[3], ARGV[2])
  make_next_shard_ready(job, KEYS[4], KEYS[5], project)
  redis.call('LPUSH', KEYS[6], ARGV[5])
end
return answer
