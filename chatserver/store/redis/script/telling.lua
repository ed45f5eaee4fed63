--- Telling a room who joined and who left, and of reactions: gathered, not more often than the rules say.

local fresh, later = {}, {} -- rooms that may have something to tell: at once, and when it is due

--- Notices.

local notices = {} -- those that wait, by room, once they are read

local function is_due(room, kind)
  return steady - room['told_' .. kind] >= rules.notice_interval_ms
end

local function write_notices(room)
  call('DEL', at.notices_of .. room.number)
  local waiting = notices[room]
  for i = 1, #waiting, PUSHED do
    local packed = {}
    for j = i, math.min(i + PUSHED - 1, #waiting) do
      packed[#packed + 1] = encode(waiting[j])
    end
    call('RPUSH', at.notices_of .. room.number, unpack(packed))
  end
end

local function read_notices(room)
  local read = {}
  for i, packed in ipairs(call('LRANGE', at.notices_of .. room.number, 0, -1)) do
    read[i] = decode(packed)
  end
  notices[room] = read
end

-- Make one event of all notices of this kind that may be told, if it is time for one.
local function tell(room, kind)
  if room['pending_' .. kind] == 0 or not is_due(room, kind) then
    return false
  end
  if not notices[room] then
    read_notices(room)
  end
  local seen, left, names, count, by = {}, {}, {}, 0, ''
  for _, notice in ipairs(notices[room]) do
    -- Of one name, only the first of its notices: joins and leaves are told in their order.
    if notice[1] == kind and not seen[notice[2]] then
      count = count + 1
      if count <= rules.max_users then
        names[count] = notice[3]
      end
      by = notice[4] or '' -- a version without rooms has not said whose it is
    else
      left[#left + 1] = notice
    end
    seen[notice[2]] = true
  end
  if count == 0 then
    return false
  end
  notices[room] = left
  write_notices(room)
  room['pending_' .. kind] = room['pending_' .. kind] - count
  room['told_' .. kind] = steady
  local place = room.name == LOBBY and 'the chat' or room.title
  count = count + room['nameless_' .. kind]
  rooms.add(room, kind, '', count == 1 and by or '', false, names, count, place)
  room['nameless_' .. kind] = 0
  return true
end

-- Whether the name's join was waiting to be told, and is no more.
local function cancel_join(room, key, name, by)
  local waited = room.pending_join > 0
    and call('LREM', at.notices_of .. room.number, -1, encode({'join', key, name, by})) > 0
  if waited then
    room.pending_join = room.pending_join - 1
    notices[room] = nil
  end
  return waited
end

-- Somebody has come or gone; nobody is told so of a direct room.
function telling.notify(room, kind, key, name, by)
  if room.kind == 'direct' then
    return
  end
  room.changed = true
  if kind == 'leave' and cancel_join(room, key, name, by) then
    return -- nobody was told of either
  end
  if room['pending_' .. kind] >= rules.max_notices then
    room['nameless_' .. kind] = room['nameless_' .. kind] + 1
    return
  end
  local notice = {kind, key, name, by}
  call('RPUSH', at.notices_of .. room.number, encode(notice))
  if notices[room] then
    notices[room][#notices[room] + 1] = notice
  end
  room['pending_' .. kind] = room['pending_' .. kind] + 1
  telling.expect(room)
end

--- Reactions.

-- Whether reactions to a message of the room were told, which is done a message at a time.
local function tell_reactions(room)
  if steady - room.reacted_at < rules.reaction_interval_ms then
    return false
  end
  local id = call('ZRANGE', at.reacting_of .. room.number, 0, 0)[1]
  if not id then
    return false
  end
  call('ZREM', at.reacting_of .. room.number, id)
  room.reacted_at, room.changed = steady, true
  local list = reactions.list(room, id, rules.max_reaction_names)
  rooms.add(room, 'react', '', '', false, tonumber(id), list)
  return true
end

--- Beside the log.

local asides = {}

function telling.aside(room, kind, record, is_online)
  asides[#asides + 1] = {room.name, kind, record.name, record.by, is_online}
end

function telling.publish()
  if #asides > 0 then
    call('PUBLISH', at.asides, encode(asides))
  end
end

--- When.

-- The room may have something to tell.
function telling.expect(room)
  fresh[#fresh + 1] = room
end

-- Tell what is due in the rooms in which something has happened.
function telling.tell()
  local told = fresh
  fresh = {}
  for _, room in ipairs(told) do
    if not room.finished then
      -- A leave that was told may be what the same name's join has waited for.
      while tell(room, 'join') or tell(room, 'leave') do end
      tell_reactions(room)
      later[room] = true
    end
  end
end

-- Tell what is due in the rooms that have waited.
function telling.tell_due()
  for _, name in ipairs(call('ZRANGEBYSCORE', at.due, '-inf', steady, 'LIMIT', 0, FREED)) do
    local room = rooms.find(name)
    if room then
      telling.expect(room)
    end
  end
  telling.tell()
end

-- The moment at which there is something to tell of the room; nil: never.
local function due(room)
  local moment
  for _, kind in ipairs({'join', 'leave'}) do
    -- Those whose time has come and that are still there wait for the other kind.
    if room['pending_' .. kind] > 0 and not is_due(room, kind) then
      local told = room['told_' .. kind] + rules.notice_interval_ms
      moment = math.min(moment or told, told)
    end
  end
  if call('EXISTS', at.reacting_of .. room.number) == 1 then
    local told = room.reacted_at + rules.reaction_interval_ms
    moment = math.min(moment or told, told)
  end
  return moment
end

-- Remember when there is something to tell of the rooms in which there may be.
function telling.save()
  for room in pairs(later) do
    local moment = not room.finished and due(room)
    if moment then
      call('ZADD', at.due, moment, room.name)
    elseif not room.finished then
      call('ZREM', at.due, room.name)
    end
  end
end
