-- A job, and how many jobs and shards it waits for while it is queued, queue by queue, if nothing else comes: all that lie
-- in queues before its own, and in its own those whose turn comes first. There the projects take turns (claim.lua): of a
-- project that is before the job's own as many go first as of its own, and the one that takes its turn with it.
--
-- KEYS  1 job  2.. ready of each queue, the first served first
-- ARGV  1 project  2 job id  3 most projects of a queue that are counted  4 template of a project's ready set (%s queue and
--       project)  5.. names of the queues, then fields of the job
-- Returns {values, counts}. Values of the fields; all fields and values if none is named; none if there is no such job.
--         A count for each queue up to the job's own; none if it is in no line or the line has too many projects
local project, id, most, template = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
local first_field = 5 + #KEYS - 1

local held = redis.call('HMGET', KEYS[1], 'status', 'priority')
local status, own = held[1], held[2]
if not status then return {{}, {}} end
local values = ARGV[first_field] and redis.call('HMGET', KEYS[1], unpack(ARGV, first_field))
  or redis.call('HGETALL', KEYS[1])

local function line_of(queue, name)
  local projects = redis.call('ZRANGE', queue, 0, most)
  if #projects > most then return nil end
  local lengths = {}
  for n, other in ipairs(projects) do lengths[n] = redis.call('ZCARD', string.format(template, name, other)) end
  return projects, lengths
end

local function turns_before(projects, lengths, before)
  local count, turns = 0, before + 1
  for place, other in ipairs(projects) do
    if other == project then
      count, turns = count + before, before
    else
      count = count + math.min(lengths[place], turns)
    end
  end
  return count
end

local function ahead()
  local counts = {}
  for n = 2, #KEYS do
    local name, count = ARGV[3 + n], 0
    local projects, lengths = line_of(KEYS[n], name)
    if not projects then return {} end
    if name == own then
      local before = redis.call('ZRANK', string.format(template, name, project), id)
      if not before then return {} end
      counts[n - 1] = turns_before(projects, lengths, before)
      return counts
    end
    for _, length in ipairs(lengths) do count = count + length end
    counts[n - 1] = count
  end
  return {}
end

return {values, status == 'queued' and ahead() or {}}
