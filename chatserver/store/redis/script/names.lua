--- Names, and who speaks for them.

local names = {}

local records = {} -- those that were looked at; false: free
local lists, first_users = {}, nil -- what claims are answered with, the last one still growing

function names.find(key)
  if records[key] == nil then
    local packed = call('HGET', at.names, key)
    records[key] = packed and decode(packed)
  end
  return records[key]
end

local function put(key, record)
  records[key] = record
  call('HSET', at.names, key, encode(record))
end

function names.find_held(key, holder)
  local record = names.find(key)
  return record and not record.waiting and record.holder == holder and record
end

--- Who is in the lobby, in joining order.

function names.list()
  if not first_users then
    first_users = call('ZRANGE', at.order, 0, rules.max_users - 1)
    lists[#lists + 1] = first_users
  end
  return #lists, #first_users
end

function names.lists()
  return lists
end

function names.into_lobby(name)
  meta.number = meta.number + 1
  call('ZADD', at.order, meta.number, name)
  if first_users and #first_users < rules.max_users then
    first_users[#first_users + 1] = name
  end
end

function names.out_of_lobby(name)
  call('ZREM', at.order, name)
  first_users = nil
end

--- Names that look alike; see chatserver/people/lookalikes.py. `looks` is {scripts, skeletons}.

local function remember_looks(key, record, skeletons, scripts)
  record.looks = {scripts, skeletons}
  for _, skeleton in ipairs(skeletons) do
    call('SADD', at.scripts_of .. skeleton, scripts)
    call('ZADD', at.looks_of .. scripts .. ':' .. skeleton, record.number, key)
  end
end

local function forget_looks(key, record)
  local scripts, skeletons = unpack(record.looks)
  for _, skeleton in ipairs(skeletons) do
    call('ZREM', at.looks_of .. scripts .. ':' .. skeleton, key)
    if call('EXISTS', at.looks_of .. scripts .. ':' .. skeleton) == 0 then
      call('SREM', at.scripts_of .. skeleton, scripts)
    end
  end
end

local function share_script(scripts, others)
  for script in string.gmatch(scripts, '%S+') do
    if string.find(' ' .. others .. ' ', ' ' .. script .. ' ', 1, true) then
      return true
    end
  end
  return false
end

-- A name that one with these looks could be taken for.
function names.find_lookalike(skeletons, scripts)
  for _, skeleton in ipairs(skeletons) do
    for _, others in ipairs(call('SMEMBERS', at.scripts_of .. skeleton)) do
      if not share_script(scripts, others) then
        for _, key in ipairs(call('ZRANGE', at.looks_of .. others .. ':' .. skeleton, 0, 0)) do
          return names.find(key)
        end
      end
    end
  end
end

--- From one state to the other.

local function hold(key, record, holder)
  record.holder, record.worker, record.waiting = holder, worker, false
  call('ZADD', at.held_of .. worker, record.number, key)
  put(key, record)
end

function names.take(key, name, secret, by, holder, skeletons, scripts)
  meta.number = meta.number + 1
  local record = {number = meta.number, name = name, secret = secret, by = by}
  remember_looks(key, record, skeletons, scripts)
  hold(key, record, holder)
  return record
end

function names.take_over(key, record, holder)
  if record.waiting then
    call('ZREM', at.waiting, key)
  else
    call('ZREM', at.held_of .. record.worker, key)
    call('XADD', at.lost_of .. record.worker, 'MAXLEN', '~', LOST_KEPT, '*', 'h', record.holder)
  end
  hold(key, record, holder)
end

function names.suspend(key, record)
  record.waiting = true
  put(key, record)
  call('ZREM', at.held_of .. record.worker, key)
  call('ZADD', at.waiting, steady + rules.grace_ms, key)
end

function names.free(key, record)
  records[key] = false
  call('HDEL', at.names, key)
  call('ZREM', at.waiting, key)
  call('ZREM', at.held_of .. record.worker, key)
  forget_looks(key, record)
end
