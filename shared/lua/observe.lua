-- Adds what was asked of a model version to the hour and the day that it is now.
-- KEYS: marker of this call. ARGV: template of an hour's key (%d stands for its number since 1970), of a day's,
--   seconds that an hour is kept, and a day; then field, numbers ("3,0,12"), … Numbers of a field are added one by one.
-- A call that comes twice is counted once. Returns "added" or "again".
if not redis.call("SET", KEYS[1], "1", "NX", "EX", 60) then
    return "again"
end
local now = tonumber(redis.call("TIME")[1])
local buckets = {
    {string.format(ARGV[1], math.floor(now / 3600)), ARGV[3]},
    {string.format(ARGV[2], math.floor(now / 86400)), ARGV[4]},
}
for _, bucket in ipairs(buckets) do
    for place = 5, #ARGV, 2 do
        local held, sums = redis.call("HGET", bucket[1], ARGV[place]), {}
        if held then
            for number in string.gmatch(held, "[^,]+") do
                sums[#sums + 1] = tonumber(number)
            end
        end
        local at = 0
        for number in string.gmatch(ARGV[place + 1], "[^,]+") do
            at = at + 1
            sums[at] = string.format("%.0f", (sums[at] or 0) + tonumber(number))
        end
        redis.call("HSET", bucket[1], ARGV[place], table.concat(sums, ","))
    end
    redis.call("EXPIRE", bucket[1], bucket[2])
end
return "added"
