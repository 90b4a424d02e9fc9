-- KEYS: counter. ARGV: n, window, start of the present window. Answers the counts of the
-- window before and of this one.
local n, window, since = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local k = redis.call('HMGET', KEYS[1], 'since', 'before', 'now')
local was, before, now = tonumber(k[1] or since), tonumber(k[2] or 0), tonumber(k[3] or 0)
if was ~= since then
  before = was == since - window and now or 0
  now = 0
end
now = now + n
redis.call('HSET', KEYS[1], 'since', ARGV[3], 'before', tostring(before), 'now', tostring(now))
redis.call('PEXPIRE', KEYS[1], 2 * window)
return { tostring(before), tostring(now) }
