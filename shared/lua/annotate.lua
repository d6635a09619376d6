-- Change what people say of a model or a version: its description, its tags.
--
-- KEYS  1 model or version  2 answer to this call
-- ARGV  1 if_match  2 if_none_match  3 'dated' if the record says when it was changed, else ''  4.. field, value
-- Returns {'done', revision} | {'unknown'} | {'failed', revision}
local before = answered(KEYS[2])
if before then return before end
if redis.call('EXISTS', KEYS[1]) == 0 then return {'unknown'} end
local revision = redis.call('HGET', KEYS[1], 'revision') or '0'
if not meets(revision, ARGV[1], ARGV[2]) then return {'failed', revision} end
if #ARGV < 4 then return {'done', revision} end
set_fields(KEYS[1], 4)
if ARGV[3] == 'dated' then redis.call('HSET', KEYS[1], 'updated_at', now_ms()) end
touch(KEYS[1])
return answer(KEYS[2], {'done', redis.call('HGET', KEYS[1], 'revision')})
