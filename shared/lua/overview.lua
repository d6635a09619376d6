-- What a project's list of jobs has above it: how many are in which state, how many wait in each queue, and how many have
-- ended lately.
--
-- KEYS  1 all jobs  2 .. 1 + n indexes of the states  then the project's ready set of each queue; usage of
--       today and yesterday (keys.usage) is made from the first
-- ARGV  1 n, how many states  2 how many queues
-- Returns {now (ms), jobs, {jobs in a state, …}, {jobs that wait in a queue, …}, {{field, value, …} of yesterday, … of today}}
local states, queues = tonumber(ARGV[1]), tonumber(ARGV[2])
local function sizes(first, count)
  local found = {}
  for n = first, first + count - 1 do found[#found + 1] = redis.call('ZCARD', KEYS[n]) end
  return found
end
local now, days = now_ms(), {}
for n = 1, 2 do
  local day = string.format('%d', now / 86400000 - 2 + n)
  days[n] = redis.call('HGETALL', string.match(KEYS[1], '^(.*):jobs$') .. ':usage:' .. day)
end
return {now, redis.call('ZCARD', KEYS[1]), sizes(2, states), sizes(2 + states, queues), days}
