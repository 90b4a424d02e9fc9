-- ARGV: now, most steps, how long limits are kept in ms, a name for this taking, whether it
-- is tried again because the answer was lost; then limits that were asked for:
-- workspace, kind, "paused workspace customer kind connection".
-- Answers {1, id}; {0, ms until a task is due or -1}; {2, workspace, kind}: say its limits
-- and ask again; {3}: nothing within the steps, go on.
--
-- WAITING is in the order workspace, customer, connection, place in line. A round at each
-- level begins behind the child that had the last turn, which TURNS remembers, and visits
-- every child once.
local now, most_steps, keep_ms = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local server, steps, unknown, limits = server_ms(), 0, nil, {}

if ARGV[5] == '1' then
  local runs = redis.call('HGETALL', RUNS)
  for i = 1, #runs, 2 do
    if split(runs[i + 1])[2] == ARGV[4] then
      return { 1, runs[i] }
    end
  end
end

local function numbers(text)
  local list = {}
  for n in string.gmatch(text, '%S+') do
    list[#list + 1] = tonumber(n)
  end
  return list
end

for i = 6, #ARGV, 3 do
  local key = ARGV[i] .. SEP .. ARGV[i + 1]
  limits[key] = numbers(ARGV[i + 2])
  if keep_ms > 0 then
    if redis.call('HLEN', LIMITS) > 10000 then
      redis.call('DEL', LIMITS)
    end
    redis.call('HSET', LIMITS, key, ARGV[i + 2] .. ' ' .. string.format('%.0f', server + keep_ms))
    redis.call('PEXPIRE', LIMITS, 60000)
  end
end

local function limits_of(workspace, kind)
  local key = workspace .. SEP .. kind
  if not limits[key] and keep_ms > 0 then
    local kept = redis.call('HGET', LIMITS, key)
    kept = kept and numbers(kept)
    if kept and kept[6] > server then
      limits[key] = kept
    end
  end
  if not limits[key] then
    unknown = { 2, workspace, kind }
  end
  return limits[key]
end

local function full(limit, field)
  return limit > 0 and tonumber(redis.call('HGET', COUNTS, field) or 0) >= limit
end

local function first(low, high)
  steps = steps + 1
  return redis.call('ZRANGEBYLEX', WAITING, low, high, 'LIMIT', 0, 1)[1]
end

-- Children of a path ("" or ending in SEP): visit gives the task of the first that has one.
local function round(path, turn, visit)
  local low, high = '-', '+'
  if path ~= '' then
    low, high = '[' .. path, '(' .. string.sub(path, 1, -2) .. AFTER_SEP
  end
  local last, start = redis.call('HGET', TURNS, turn), nil
  while not unknown do
    local member = last and first('[' .. path .. last .. AFTER_SEP, high) or first(low, high)
    if not member then
      return nil
    end
    local child = string.match(member, '^([^\31]*)', #path + 1)
    if child == start then
      return nil
    end
    start = start or child
    local found = visit(path .. child, member)
    if found or steps > most_steps then
      redis.call('HSET', TURNS, turn, child)
      return found
    end
    last = child
  end
end

local function visit_lane(_, member)
  local p = split(member)
  local l = limits_of(p[1], p[5])
  if not l or l[1] == 1 or full(l[4], 'k' .. p[5] .. SEP .. p[1]) or
    (p[3] ~= '' and full(l[5], 'n' .. p[5] .. SEP .. p[3])) then
    return nil
  end
  return member
end

local function visit_customer(path, member)
  local p = split(member)
  local l = limits_of(p[1], p[5])
  if not l or full(l[3], 'c' .. path) then
    return nil
  end
  return round(path .. SEP, '2' .. path, visit_lane)
end

local function visit_workspace(path, member)
  local p = split(member)
  local l = limits_of(p[1], p[5])
  if not l or l[1] == 1 or full(l[2], 'w' .. path) then
    return nil
  end
  return round(path .. SEP, '1' .. path, visit_customer)
end

for _, id in ipairs(redis.call('ZRANGEBYSCORE', LATER, '-inf', ARGV[1], 'LIMIT', 0, 100)) do
  redis.call('ZREM', LATER, id)
  local text = redis.call('HGET', TASKS, id)
  if text then
    stand_in_line(id, task_of(text))
  end
end

local found = round('', '0', visit_workspace)
if found then
  local p = split(found)
  local customer = p[1] .. SEP .. p[2]
  redis.call('ZREM', WAITING, found)
  redis.call('HSET', RUNS, p[6], string.format('%.0f', server) .. SEP .. ARGV[4])
  count_run({ workspace = p[1], customer = p[2], connection = p[3], kind = p[5] }, 1)
  -- whose turn it was is forgotten with the last task that waits
  if not first('[' .. customer .. SEP, '(' .. customer .. AFTER_SEP) then
    redis.call('HDEL', TURNS, '2' .. customer)
    if not first('[' .. p[1] .. SEP, '(' .. p[1] .. AFTER_SEP) then
      redis.call('HDEL', TURNS, '1' .. p[1])
    end
  end
  return { 1, p[6] }
end
if unknown then
  return unknown
end
if steps > most_steps then
  return { 3 }
end
local due = redis.call('ZRANGE', LATER, 0, 0, 'WITHSCORES')[2]
return { 0, due and math.max(1, tonumber(due) - now) or -1 }
