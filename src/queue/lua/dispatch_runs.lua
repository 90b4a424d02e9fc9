-- Makes the runs equal to what the store says. ARGV: channel, grace in ms, number of the
-- caller's own runs, their ids; then per task that others run id, kind, workspace, customer,
-- connection. What somebody took a moment ago is perhaps not yet in the store.
local channel, grace, own = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local server, right, changed = server_ms(), {}, 0
for i = 4, 3 + own do
  right[ARGV[i]] = true
end
for i = 4 + own, #ARGV, 5 do
  local id = ARGV[i]
  if redis.call('HEXISTS', RUNS, id) == 0 then
    forget(id)
    local task = {
      number = '', kind = ARGV[i + 1], workspace = ARGV[i + 2],
      customer = ARGV[i + 3], connection = ARGV[i + 4], order = '0',
    }
    redis.call('HSET', TASKS, id, text_of(task))
    redis.call('HSET', RUNS, id, string.format('%.0f', server) .. SEP .. 'told')
    count_run(task, 1)
  end
  right[id] = true
end
local runs = redis.call('HGETALL', RUNS)
for i = 1, #runs, 2 do
  local p = split(runs[i + 1])
  if not right[runs[i]] and (p[2] == 'told' or server - tonumber(p[1]) > grace) then
    if not forget(runs[i]) then
      redis.call('HDEL', RUNS, runs[i])
    end
    changed = changed + 1
  end
end
if changed > 0 then
  redis.call('PUBLISH', channel, changed)
end
return changed
