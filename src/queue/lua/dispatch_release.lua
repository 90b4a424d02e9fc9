-- ARGV: channel, id. A run that ended may have made room for another.
local known, ran = forget(ARGV[2])
if ran and redis.call('EXISTS', WAITING) == 1 then
  redis.call('PUBLISH', ARGV[1], 1)
end
return known and 1 or 0
