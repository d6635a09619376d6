-- Prolong a lease, note progress and keep log lines, if the token still owns the job.
--
-- KEYS  1 job  2 leases  3 logs of the job  with a shard: 4 the job that it is part of
-- ARGV  1 token  2 member  3 lease in ms  4 most log lines kept  5 n: log lines that follow, each JSON
--       then field, value (progress, counts, warnings; with a shard rows_scored)
-- Returns 'lost' | 'cancel' | 'ok'
local MOST_POINTS = 2000

-- A running loss among the progress is a point of the job's curve (keys.job_curve).
local function note_loss(job, pairs, first)
  for i = first, #pairs, 2 do
    local progress = pairs[i] == 'progress' and cjson.decode(pairs[i + 1])
    local loss = progress and progress.details and progress.details.loss
    if loss then
      redis.call('XADD', job .. ':curve', 'MAXLEN', '~', MOST_POINTS, '*', 'completed', progress.completed,
        'loss', string.format('%.9g', loss))
    end
  end
end

local held = redis.call('HMGET', KEYS[1], 'token', 'cancel_requested_at')
if held[1] ~= ARGV[1] then return 'lost' end
redis.call('ZADD', KEYS[2], now_ms() + tonumber(ARGV[3]), ARGV[2])

local first_field = 6 + tonumber(ARGV[5])
for i = 6, first_field - 1 do redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[4], '*', 'line', ARGV[i]) end
if KEYS[4] and ARGV[first_field] == 'rows_scored' then
  count_scored(KEYS[4], KEYS[1], tonumber(ARGV[first_field + 1]))
  first_field = first_field + 2
end
if #ARGV >= first_field then
  set_fields(KEYS[1], first_field)
  touch(KEYS[1])
  note_loss(KEYS[1], ARGV, first_field)
end
if held[2] then return 'cancel' end
return 'ok'
