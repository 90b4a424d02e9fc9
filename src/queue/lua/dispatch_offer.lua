-- ARGV: channel, now, grace in ms; then per task id, kind, workspace, customer, connection,
-- not before, order. A task that is known is left as it is, unless it was taken so long ago that
-- its taker can't have claimed it: the store says that it waits.
local channel, now, grace = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local server, added = server_ms(), 0
for i = 4, #ARGV, 7 do
  local id = ARGV[i]
  local known = redis.call('HEXISTS', TASKS, id) == 1
  if known then
    local taken = redis.call('HGET', RUNS, id)
    if taken and server - tonumber(split(taken)[1]) > grace then
      forget(id)
      known = false
    end
  end
  if not known then
    local task = {
      number = '', kind = ARGV[i + 1], workspace = ARGV[i + 2],
      customer = ARGV[i + 3], connection = ARGV[i + 4], order = ARGV[i + 6],
    }
    if tonumber(ARGV[i + 5]) > now then
      redis.call('HSET', TASKS, id, text_of(task))
      redis.call('ZADD', LATER, ARGV[i + 5], id)
    else
      stand_in_line(id, task)
    end
    added = added + 1
  end
end
if added > 0 then
  redis.call('PUBLISH', channel, added)
end
return added
