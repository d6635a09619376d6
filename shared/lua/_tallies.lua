-- Tallies for Prometheus: what happens to jobs is counted in the step in which it happens, so once, whoever dies then.
-- A field of TALLIES is the tally's name and its labels, with | between them; of durations there is one for each bucket
-- that BUCKETS_MS bounds, and their sum in milliseconds (shared.tallies).

local function tally(count, ...)
  redis.call('HINCRBY', TALLIES, table.concat({...}, '|'), count)
end

local function tally_duration(name, label, ms)
  local bucket = '+Inf'
  for _, bound in ipairs(BUCKETS_MS) do
    if ms <= bound then
      bucket = bound
      break
    end
  end
  tally(1, name, label, bucket)
  tally(string.format('%.0f', math.max(0, ms)), name, label, 'sum')
end

-- Rows of a batch that count for good: of a whole job, or of a shard. `counts` is JSON, or false for other types.
local function tally_rows(counts)
  if not counts then return end
  local rows = cjson.decode(counts)
  tally(rows.total - rows.failed, 'rows', 'scored')
  tally(rows.failed, 'rows', 'failed')
end

-- An attempt at a job, or at a shard, has ended. To close a split job is an attempt, too. Its duration is told unless its
-- worker was lost. Called before the hash is changed.
local function tally_attempt(job, outcome, code)
  local held = redis.call('HMGET', job, 'type', 'attempt_started_at', 'split_at')
  local kind = held[3] and 'closing' or held[1]
  tally(1, 'attempts', kind, outcome)
  if outcome ~= 'lost' and held[2] then tally_duration('attempt_duration', kind, now_ms() - tonumber(held[2])) end
  -- A code is one of the error tree's; a child that says something else must not fill the hash.
  if code and #code <= 40 and string.find(code, '^[a-z_]+$') then
    if redis.call('HLEN', TALLIES) > MOST_TALLIES then code = 'other' end
    tally(1, 'attempt_errors', code)
  end
end
