-- Redis's clock, the only one for leases, turns and times.

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

