-- Redis's clock, the only one for leases, turns and times.

-- It stands still while a script runs.
local clock
local function time_of_day()
  clock = clock or redis.call('TIME')
  return clock
end

local function now_ms()
  local time = time_of_day()
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Whose turn it is goes by microseconds: no two scripts run in the same one, and within one each turn is one later. As
-- text, since Lua would round it.
local turns = 0
local function turn()
  local time = time_of_day()
  turns = turns + 1
  return string.format('%.0f', time[1] * 1000000 + time[2] + turns)
end

