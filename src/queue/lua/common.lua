-- The state of one queue, in keys of one slot (dispatch_redis.c tells their meaning). Texts
-- within a member or a value are separated by U+001F, which is in none of them.
local TASKS, WAITING, LATER, RUNS, COUNTS, TURNS, LIMITS =
  KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7]
local SEP, AFTER_SEP = '\31', '\32'

local function split(text)
  local parts = {}
  for part in string.gmatch(text .. SEP, '([^\31]*)\31') do
    parts[#parts + 1] = part
  end
  return parts
end

local function server_ms()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

-- A task as TASKS keeps it; number is its place in line, empty while it is for later.
local function task_of(text)
  local p = split(text)
  return {
    number = p[1], kind = p[2], workspace = p[3], customer = p[4], connection = p[5], order = p[6],
  }
end

local function text_of(task)
  return table.concat(
    { task.number, task.kind, task.workspace, task.customer, task.connection, task.order }, SEP)
end

local function member_of(id, task)
  return table.concat({ task.workspace, task.customer, task.connection, task.number, task.kind, id }, SEP)
end

local function add(field, by)
  if redis.call('HINCRBY', COUNTS, field, by) <= 0 then
    redis.call('HDEL', COUNTS, field)
  end
end

local function count_run(task, by)
  add('w' .. task.workspace, by)
  add('c' .. task.workspace .. SEP .. task.customer, by)
  add('k' .. task.kind .. SEP .. task.workspace, by)
  if task.connection ~= '' then
    add('n' .. task.kind .. SEP .. task.connection, by)
  end
end

-- Behind those of its connection that have the same order or a smaller one.
local function stand_in_line(id, task)
  task.number = string.format('%015.0f-%014.0f', tonumber(task.order), redis.call('HINCRBY', TURNS, 'last', 1))
  redis.call('HSET', TASKS, id, text_of(task))
  redis.call('ZADD', WAITING, 0, member_of(id, task))
end

-- false when it is not known; ran: whether it was running.
local function forget(id)
  local text = redis.call('HGET', TASKS, id)
  if not text then
    return false
  end
  local task, ran = task_of(text), redis.call('HDEL', RUNS, id) == 1
  redis.call('HDEL', TASKS, id)
  if ran then
    count_run(task, -1)
  elseif task.number ~= '' then
    redis.call('ZREM', WAITING, member_of(id, task))
  else
    redis.call('ZREM', LATER, id)
  end
  return true, ran
end
