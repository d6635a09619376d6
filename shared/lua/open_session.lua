-- Begin a session in the browser.
--
-- KEYS  1 session
-- ARGV  1 lifetime (ms)  2.. field, value: key and secret of a stored key, or configured
-- Returns 'done'
set_fields(KEYS[1], 2)
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return 'done'
