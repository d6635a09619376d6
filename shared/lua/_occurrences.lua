-- One occurrence of a schedule is decided once: it gets a job, waits, is skipped or has failed. Whatever decides it takes
-- it off the schedule's timetable in the same step, and only if the schedule is still as the decision was made for.
--
-- Keys of an occurrence       1 schedule  2 its decided occurrences  3 those that wait  4 the occurrence  5 its live jobs
-- Arguments of an occurrence  1 how it is reached: 'next' | 'waiting' | 'manual'  2 nominal time  3 revision of the schedule
--                             4, 5 the nominal time that follows, and when that is due ('' if there is none; for 'next')
--                             6 'alone': not while a job of the schedule lives, else ''
--                             7 most occurrences kept  8 template of an occurrence's key (%s its nominal time)
--                             9 n_fields  then field, value of the occurrence

local function occurrence_at(key, arg)
  return {
    schedule = KEYS[key], decided = KEYS[key + 1], waiting = KEYS[key + 2], record = KEYS[key + 3], jobs = KEYS[key + 4],
    how = ARGV[arg], nominal = ARGV[arg + 1], revision = ARGV[arg + 2], following = ARGV[arg + 3], due = ARGV[arg + 4],
    alone = ARGV[arg + 5] == 'alone', kept = tonumber(ARGV[arg + 6]), template = ARGV[arg + 7], first_field = arg + 9,
    last_field = arg + 8 + 2 * tonumber(ARGV[arg + 8]),
  }
end

local function is_undecided(occurrence)
  local held = redis.call('HMGET', occurrence.schedule, 'revision', 'next_at')
  if held[1] ~= occurrence.revision then return false end  -- it is gone, or has been changed
  if occurrence.how == 'next' then return held[2] == occurrence.nominal end
  if occurrence.how == 'waiting' then return redis.call('ZSCORE', occurrence.waiting, occurrence.nominal) end
  return redis.call('EXISTS', occurrence.record) == 0
end

-- Whether it has to let others go first: a job of the schedule that lives, or what has been waiting for longer.
local function overlaps(occurrence)
  if not occurrence.alone then return false end
  if redis.call('SCARD', occurrence.jobs) > 0 then return true end
  return occurrence.how == 'next' and redis.call('ZCARD', occurrence.waiting) > 0
end

-- Write down what becomes of it, with more field, value pairs than the caller knew.
local function decide(occurrence, ...)
  redis.call('DEL', occurrence.record)
  set_fields(occurrence.record, occurrence.first_field, occurrence.last_field)
  if select('#', ...) > 0 then redis.call('HSET', occurrence.record, ...) end
  redis.call('ZADD', occurrence.decided, occurrence.nominal, occurrence.nominal)
  tally(1, 'occurrences', redis.call('HGET', occurrence.record, 'status'))
  if redis.call('HGET', occurrence.record, 'status') == 'waiting' then
    redis.call('ZADD', occurrence.waiting, occurrence.nominal, occurrence.nominal)
  else
    redis.call('ZREM', occurrence.waiting, occurrence.nominal)
  end
  if redis.call('HGET', occurrence.record, 'status') == 'failed' then
    local held = redis.call('HMGET', occurrence.schedule, 'project', 'id')
    local message = string.gsub(held[2], '^sch_', 'msg_') .. '_' .. occurrence.nominal
    tell_endpoints(held[1], 'schedule.failed', message, 'schedule', held[2], 'nominal', occurrence.nominal)
  end
  if occurrence.how == 'next' then
    redis.call('HSET', occurrence.schedule, 'last_at', occurrence.nominal)
    redis.call('HDEL', occurrence.schedule, 'next_at', 'due_at')
    if occurrence.following ~= '' then
      redis.call('HSET', occurrence.schedule, 'next_at', occurrence.following, 'due_at', occurrence.due)
    end
  end
  for _, oldest in ipairs(redis.call('ZRANGE', occurrence.decided, 0, -occurrence.kept - 1)) do
    if not redis.call('ZSCORE', occurrence.waiting, oldest) then
      redis.call('ZREM', occurrence.decided, oldest)
      redis.call('DEL', string.format(occurrence.template, oldest))
    end
  end
end

-- When a worker is to look at the schedule again: when its next occurrence is due, or each time while others wait.
local function look_again(schedule, waiting, all, member)
  local at = redis.call('HGET', schedule, 'due_at')
  if redis.call('ZCARD', waiting) > 0 then at = 0 end
  if at then redis.call('ZADD', all, at, member) else redis.call('ZREM', all, member) end
end
