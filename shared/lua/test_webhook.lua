-- Have an endpoint sent an event of no meaning.
--
-- KEYS  1 endpoint
-- ARGV  1 project  2 endpoint id  3 event  4 message id
-- Returns the delivery's id, or '' for an endpoint that is switched off
if redis.call('HGET', KEYS[1], 'status') ~= 'enabled' then return '' end
return add_delivery(ARGV[1], ARGV[2], ARGV[3], ARGV[4])
