-- What a request's key may do, and the digests of the secrets that are good for it now. Whether the request has one of
-- them is compared by the caller, in constant time.
--
-- KEYS  1 key
-- ARGV  1 note its use if the last note is so old (ms)
-- Returns {} for a key that is unknown, revoked or expired, else {project, scopes, '1' if its use is to be noted, digest, …}
local held = redis.call('HGETALL', KEYS[1])
if #held == 0 then return {} end
local now, fields, digests = now_ms(), {}, {}
for i = 1, #held, 2 do
  local digest, till = string.match(held[i], '^secret:(.+)$'), held[i + 1]
  if not digest then
    fields[held[i]] = till
  elseif till == '' or tonumber(till) > now then
    digests[#digests + 1] = digest
  end
end
if fields.expires_at and tonumber(fields.expires_at) <= now then return {} end
local due = now - tonumber(fields.last_used_at or 0) >= tonumber(ARGV[1])
return {fields.project, fields.scopes, due and '1' or '', unpack(digests)}
