-- What every script needs: one way to change a job.

-- Apply field, value pairs (ARGV from `first` to `last` or its end) to a hash: tens of them, Lua unpacks some thousands.
local function set_fields(key, first, last)
  if first < (last or #ARGV) then redis.call('HSET', key, unpack(ARGV, first, last or #ARGV)) end
end

-- Every change of a job, a model or a version raises its revision (its ETag).
local function touch(record)
  redis.call('HINCRBY', record, 'revision', 1)
end

-- Whether a change is meant for the thing as it is (RFC 9110, section 13.1). `current` is its revision, false or nil if
-- there is no such thing; the conditions are as `shared.conditions` has them.
local function meets(current, if_match, if_none_match)
  local function names(revisions)
    return current and (revisions == '*' or string.find(revisions, '"' .. current .. '"', 1, true))
  end
  return (if_match == '' or names(if_match)) and not (if_none_match ~= '' and names(if_none_match))
end

-- A script whose change must not be made twice knows its own call again: the answer to it is kept for as long as the
-- client may send it once more.
local function answered(call)
  local held = redis.call('GET', call)
  return held and cjson.decode(held)
end

local function answer(call, value)
  redis.call('SET', call, cjson.encode(value), 'PX', 60000)
  return value
end

-- Append to the event log of a job. Its length is capped so that no job can fill the memory. Shards have none ('').
local function record(events, event, state, attempt, reason)
  if events == '' then return end
  redis.call('XADD', events, 'MAXLEN', '~', 1000, '*',
    'event', event, 'state', state, 'attempt', attempt or 0, 'reason', reason or '')
end

-- Move a job's id from the index of one state to that of another.
local function move(from_index, to_index, id)
  redis.call('ZREM', from_index, id)
  redis.call('ZADD', to_index, 0, id)
end

-- When each project last had a turn in the queue (keys.served).
local function served_in(ready)
  return (string.gsub(ready, ':ready:', ':served:', 1))
end

-- Whose last turn is longest ago is next. Before them come those that never had one, as they came: their places are
-- below zero, 4e15 microseconds before now. So whoever comes waits for no second job of those who were there before.
local function line_up(ready, project)
  if redis.call('ZSCORE', ready, project) then return end
  local place = redis.call('HGET', served_in(ready), project)
  redis.call('ZADD', ready, place or string.format('%.0f', turn() - 4e15), project)
end

-- Put a job into the ready set of its project, and the project into the line.
local function make_ready(ready, ready_of, project, id)
  redis.call('ZADD', ready_of, turn(), id)
  line_up(ready, project)
end

-- The job no longer uses what it named when it was accepted.
local function release_uses(job, id)
  local uses = redis.call('HGET', job, 'uses')
  if uses then
    for key in string.gmatch(uses, '%S+') do redis.call('SREM', key, id) end
  end
end

-- A lease is good while its token stands in a running job; for a rescuer ('expired') only once its time is up.
local function holds(job, token, leases, member, expired)
  local held = redis.call('HMGET', job, 'token', 'status')
  if held[1] ~= token or held[2] ~= 'running' then return false end
  local deadline = expired == 'expired' and redis.call('ZSCORE', leases, member)
  return not (deadline and tonumber(deadline) > now_ms())
end

-- Bytes that a project keeps in the store, by kind: datasets, artifacts, outputs (keys.stored). Called by whatever makes
-- or drops the record of them, in the same step; `key` is any key of the project.
local function stored_by(key)
  return string.match(key, '^graft:p:[^:]+') .. ':stored'
end

local function keep_bytes(key, kind, bytes)
  if bytes then redis.call('HINCRBY', stored_by(key), kind, bytes) end
end

-- Whether so many bytes more are too many. `most` 0 is any number.
local function is_over(key, bytes, most)
  if tonumber(most) == 0 then return false end
  local sum = tonumber(bytes)
  for _, kept in ipairs(redis.call('HVALS', stored_by(key))) do sum = sum + tonumber(kept) end
  return sum > tonumber(most)
end

-- Count a job that has just ended into what its project has used that day (keys.usage): all that its attempts used, and
-- the rows that it has been through, but those that an earlier job had scored. Milliseconds, bytes and counts.
local function count_ended(job, state)
  local held = redis.call('HMGET', job, 'type', 'usage', 'rows_scored', 'rows_at_split', 'counts', 'created_at')
  local day = string.match(job, '^(.*):job:') .. ':usage:' .. string.format('%d', now_ms() / 86400000)
  local used = cjson.decode(held[2] or '{}')
  local rows = held[3] and held[3] - (held[4] or 0) or held[5] and cjson.decode(held[5]).total or 0
  redis.call('HINCRBY', day, 'jobs:' .. held[1] .. ':' .. state, 1)
  -- Ten minutes of the day, as `shared.overview` counts them.
  redis.call('HINCRBY', day, string.format('ended:%d:%s', now_ms() % 86400000 / 600000, state), 1)
  tally(1, 'ended', held[1], state)
  if held[6] then tally_duration('job_duration', held[1], now_ms() - tonumber(held[6])) end
  redis.call('HINCRBY', day, 'rows_scored', rows)
  for _, name in ipairs({'wall', 'cpu'}) do
    redis.call('HINCRBY', day, name .. '_ms', string.format('%.0f', 1000 * (used[name .. '_seconds'] or 0)))
  end
  local peak = math.max(used.peak_rss_bytes or 0, tonumber(redis.call('HGET', day, 'peak_rss_bytes') or 0))
  redis.call('HSET', day, 'peak_rss_bytes', string.format('%.0f', peak))
end

-- Shards: the parts of a large job, each a hash like a job's, at `<job>.<n>`.

local function shards_in(job, state)
  return job .. ':shards:' .. state
end

local function shard_key(job, id)
  return job .. string.match(id, '%.%d+$')
end

-- Rows of a shard that its attempt has scored so far. The job's total follows.
local function count_scored(job, shard, rows)
  local more = rows - tonumber(redis.call('HGET', shard, 'rows_scored') or 0)
  if more == 0 then return end
  redis.call('HINCRBY', shard, 'rows_scored', more)
  redis.call('HINCRBY', job, 'rows_scored', more)
  redis.call('HSET', job, 'scored_at', now_ms())
  touch(job)
end

-- What a job has used is the sum over its shards; its memory is that of the largest.
local function add_usage(job, used)
  if not used then return end
  local sum, more = cjson.decode(redis.call('HGET', job, 'usage') or '{}'), cjson.decode(used)
  for _, name in ipairs({'wall_seconds', 'cpu_seconds'}) do sum[name] = (sum[name] or 0) + (more[name] or 0) end
  sum.peak_rss_bytes = math.max(sum.peak_rss_bytes or 0, more.peak_rss_bytes or 0)
  redis.call('HSET', job, 'usage', cjson.encode(sum))
end

-- One more shard of a job may wait for a worker. The others stay back, so that a large job takes turns with small ones.
local function make_next_shard_ready(job, ready, ready_of, project)
  local id = redis.call('ZPOPMIN', shards_in(job, 'pending'))[1]
  if id then make_ready(ready, ready_of, project, id) end
end

-- No shard begins any more, and those that run are asked to stop. Returns how many run.
local function stop_shards(job, ready, ready_of, delayed, project)
  local queued, running = shards_in(job, 'queued'), shards_in(job, 'running')
  local now = now_ms()
  for _, id in ipairs(redis.call('ZRANGE', queued, 0, -1)) do
    redis.call('HSET', shard_key(job, id), 'status', 'cancelled', 'finished_at', now)
    add_usage(job, redis.call('HGET', shard_key(job, id), 'usage'))
    move(queued, shards_in(job, 'cancelled'), id)
    redis.call('ZREM', ready_of, id)
    redis.call('ZREM', delayed, project .. '/' .. id)
  end
  redis.call('DEL', shards_in(job, 'pending'))
  if redis.call('EXISTS', ready_of) == 0 then redis.call('ZREM', ready, project) end
  local left = redis.call('ZRANGE', running, 0, -1)
  for _, id in ipairs(left) do redis.call('HSETNX', shard_key(job, id), 'cancel_requested_at', now) end
  return #left
end

-- End a job that was told to stop, now that none of its shards runs.
local function end_stopped(job, events, index_running, index_final, state, id)
  redis.call('HSET', job, 'status', state, 'finished_at', now_ms())
  redis.call('HDEL', job, 'progress')
  touch(job)
  count_ended(job, state)
  move(index_running, index_final, id)
  release_uses(job, id)
  record(events, state, state, redis.call('HGET', job, 'attempt'), state == 'cancelled' and 'on request' or 'a shard failed')
  announce(job, 'job.' .. state)
end

-- Forget the shards of a job; what they made is in its result, or not wanted any more.
local function drop_shards(job)
  for n = 0, tonumber(redis.call('HGET', job, 'shards') or 0) - 1 do
    local shard = string.format('%s.%05d', job, n)
    redis.call('DEL', shard)
  end
  for _, state in ipairs({'pending', 'queued', 'running', 'succeeded', 'failed', 'cancelled'}) do
    redis.call('DEL', shards_in(job, state))
  end
end
