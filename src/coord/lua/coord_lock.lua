-- KEYS: lock, fence. ARGV: token, life in ms. The fence follows the clock, so that it goes on
-- growing after everything was lost. Answers the fence, or nil while somebody else holds it.
if not redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) and
  redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return nil
end
local t = redis.call('TIME')
local last = tonumber(redis.call('GET', KEYS[2]) or 0)
local fence = string.format('%.0f', math.max(last + 1, t[1] * 1000000 + t[2]))
redis.call('SET', KEYS[2], fence, 'PX', 86400000)
return fence
