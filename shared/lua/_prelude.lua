-- What every script needs: Redis's clock, the only one for leases, and one way to change a job.

local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Whose turn it is goes by microseconds: no two scripts run in the same one, and within one, for which time stands
-- still, each turn is one later. As text, since Lua would round it.
local turns = 0
local function turn()
  local time = redis.call('TIME')
  turns = turns + 1
  return string.format('%.0f', time[1] * 1000000 + time[2] + turns)
end

-- Apply field, value pairs (ARGV from `first` to `last` or its end) to a hash.
local function set_fields(key, first, last)
  for i = first, last or #ARGV, 2 do redis.call('HSET', key, ARGV[i], ARGV[i + 1]) end
end

-- Every change of a job raises its revision (its ETag).
local function touch(job)
  redis.call('HINCRBY', job, 'revision', 1)
end

-- Append to the event log of a job. Its length is capped so that no job can fill the memory.
local function record(events, event, state, attempt, reason)
  redis.call('XADD', events, 'MAXLEN', '~', 1000, '*',
    'event', event, 'state', state, 'attempt', attempt or 0, 'reason', reason or '')
end

-- Move a job's id from the index of one state to that of another.
local function move(from_index, to_index, id)
  redis.call('ZREM', from_index, id)
  redis.call('ZADD', to_index, 0, id)
end

-- Put a job into the ready set of its project; the project takes its turn at the end of the line.
local function make_ready(ready, ready_of, project, id)
  redis.call('ZADD', ready_of, turn(), id)
  redis.call('ZADD', ready, 'NX', turn(), project)
end

-- The job no longer uses what it named when it was accepted.
local function release_uses(job, id)
  local uses = redis.call('HGET', job, 'uses')
  if uses then
    for key in string.gmatch(uses, '%S+') do redis.call('SREM', key, id) end
  end
end
