-- What a session in the browser may do: what its key may do now. A session whose key, or the secret it was opened with, is
-- revoked, rotated away or expired is over from that moment, and is deleted.
--
-- KEYS  1 session
-- ARGV  1 template of a key's record (%s its id)
-- Returns {} for one that is unknown or over, {'configured', mark} or {'stored', project, scopes, key id}
local held = redis.call('HMGET', KEYS[1], 'configured', 'key', 'secret')
if held[1] then return {'configured', held[1]} end
if not held[2] then return {} end
local record, now = string.format(ARGV[1], held[2]), now_ms()
local key = redis.call('HMGET', record, 'project', 'scopes', 'expires_at', 'secret:' .. held[3])
local is_good = key[1] and key[4] and (key[4] == '' or tonumber(key[4]) > now)
if not is_good or (key[3] and tonumber(key[3]) <= now) then
  redis.call('DEL', KEYS[1])
  return {}
end
return {'stored', key[1], key[2], held[2]}
