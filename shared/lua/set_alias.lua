-- Point an alias at a version, take it away, or move it back to where it was before; and write that down.
-- A version that fine-tuning made worse than its baselines is refused, unless forced; the history says so then.
-- The revision of an alias is the id of the newest entry of its history.
--
-- KEYS  1 model  2 its versions  3 its aliases  4 history of this alias  5 answer to this call
-- ARGV  1 alias  2 a version, 'delete' or 'rollback'  3 template of a version's key (%d the number)
--       4 'force' or ''  5 if_match  6 if_none_match  7 id of the key that asks, or ''
-- Returns {'set', version, revision} | {'deleted'} | {'failed', revision or ''} | {'negative_transfer', version}
--         | {'unknown_model'} | {'unknown_version'} | {'unknown_alias'} | {'no_history'} | {'gone', version}
local before = answered(KEYS[5])
if before then return before end
if redis.call('EXISTS', KEYS[1]) == 0 then return {'unknown_model'} end
local current = redis.call('HGET', KEYS[3], ARGV[1])
local wanted, how = ARGV[2], {}
if not current and (wanted == 'delete' or wanted == 'rollback') then return {'unknown_alias'} end
local newest = redis.call('XREVRANGE', KEYS[4], '+', '-', 'COUNT', 1)[1]
local revision = current and newest[1]
if not meets(revision, ARGV[5], ARGV[6]) then return {'failed', revision or ''} end
if ARGV[7] ~= '' then how = {'by', ARGV[7]} end

local function version_at(number)
  return string.format(ARGV[3], number)
end

-- Of the versions that it points at now and from now on, and of the model, what is told changes too.
local function write(version, ...)
  local id = redis.call('XADD', KEYS[4], '*', 'version', version, 'previous', current or '', ...)
  touch(KEYS[1])
  if current then touch(version_at(current)) end
  if version ~= '' then touch(version_at(version)) end
  return id
end

if wanted == 'delete' then
  redis.call('HDEL', KEYS[3], ARGV[1])
  write('', unpack(how))
  return answer(KEYS[5], {'deleted'})
end

local is_rollback = wanted == 'rollback'
if is_rollback then
  -- A rollback undoes the newest move that has not been undone yet, so two in a row go two steps back.
  local undone = 0
  wanted = nil
  for _, entry in ipairs(redis.call('XREVRANGE', KEYS[4], '+', '-')) do
    local move = {}
    for i = 1, #entry[2], 2 do move[entry[2][i]] = entry[2][i + 1] end
    if move.rollback then
      undone = undone + 1
    elseif undone > 0 then
      undone = undone - 1
    else
      if move.previous ~= '' then wanted = move.previous end
      break
    end
  end
  if not wanted then return {'no_history'} end
  how[#how + 1], how[#how + 2] = 'rollback', '1'
end

if not redis.call('ZSCORE', KEYS[2], wanted) then
  return is_rollback and {'gone', tonumber(wanted)} or {'unknown_version'}
end
if current == wanted and not is_rollback then return {'set', tonumber(wanted), revision} end
if redis.call('HGET', version_at(wanted), 'verdict') == 'negative_transfer' then
  if ARGV[4] ~= 'force' then return {'negative_transfer', tonumber(wanted)} end
  how[#how + 1], how[#how + 2] = 'forced', '1'
end
redis.call('HSET', KEYS[3], ARGV[1], wanted)
return answer(KEYS[5], {'set', tonumber(wanted), write(wanted, unpack(how))})
