-- Point an alias at a version, take it away, or move it back to where it was before; and write that down.
-- A version that fine-tuning made worse than its baselines is refused, unless forced; the history says so then.
--
-- KEYS  1 model  2 its versions  3 its aliases  4 history of this alias
-- ARGV  1 alias  2 a version, 'delete' or 'rollback'  3 template of a version's key (%d the number)
--       4 'force' or ''
-- Returns {'set', version} | {'deleted'} | {'negative_transfer', version}
--         | {'unknown_model'} | {'unknown_version'} | {'unknown_alias'} | {'no_history'}
if redis.call('EXISTS', KEYS[1]) == 0 then return {'unknown_model'} end
local current = redis.call('HGET', KEYS[3], ARGV[1])
local wanted, how = ARGV[2], {}

if wanted == 'delete' then
  if not current then return {'unknown_alias'} end
  redis.call('HDEL', KEYS[3], ARGV[1])
  redis.call('XADD', KEYS[4], '*', 'version', '', 'previous', current)
  return {'deleted'}
end

if wanted == 'rollback' then
  if not current then return {'unknown_alias'} end
  -- A rollback undoes the newest move that has not been undone yet, so two in a row go two steps back.
  local undone = 0
  wanted, how = nil, {'rollback', '1'}
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
end

if not redis.call('ZSCORE', KEYS[2], wanted) then return {'unknown_version'} end
if current == wanted and not how[1] then return {'set', tonumber(wanted)} end
if redis.call('HGET', string.format(ARGV[3], wanted), 'verdict') == 'negative_transfer' then
  if ARGV[4] ~= 'force' then return {'negative_transfer', tonumber(wanted)} end
  how[#how + 1], how[#how + 2] = 'forced', '1'
end
redis.call('HSET', KEYS[3], ARGV[1], wanted)
redis.call('XADD', KEYS[4], '*', 'version', wanted, 'previous', current or '', unpack(how))
return {'set', tonumber(wanted)}
