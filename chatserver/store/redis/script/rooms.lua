--- Rooms, and what is added to the log of each.

local rooms = {}

rooms.FIELDS = {
  'number', 'kind', 'title', 'topic',
  'owner', 'maker', -- identities, or ''
  'everything', -- whether whoever enters may read what was before
  'last_id', -- the newest event; 0: there was none
  'said', -- messages since the room began
  'pair', -- of a direct room: {identity, name, identity, name}; else false
  'trimmed', -- nothing below this id is left
  'told_join', 'told_leave', -- when a notice of the kind was told
  'pending_join', 'pending_leave', -- how many wait in `notices` to be told
  'nameless_join', 'nameless_leave', -- how many more do, whose names are not kept
  'reacted_at', -- when reactions were told
}

local TRIMMED = 1000 -- events of one room that are trimmed when it is touched
local ERASED_LATER_MS = 5000 -- for as long the tail's followers may be behind and still tell them

local found = {} -- those that were looked at; false: there is none
local fresh, later = {}, {} -- rooms that may have something to tell: at once, and when it is due

local function trim(room)
  local entries = call(
    'XRANGE', at.log_of .. room.number, '-', '(' .. meta.first_id .. '-0', 'COUNT', TRIMMED
  )
  for _, entry in ipairs(entries) do
    local id, kind = string.match(entry[1], '%d+'), entry[2][1]
    if kind == 'chat' then
      rooms.forget_reactions(room, id)
      call('HDEL', at.edited_of .. room.number, id)
    end
    if kind == 'chat' or kind == 'edit' then
      call('HDEL', at.texts_of .. room.number, id)
    end
  end
  if #entries < TRIMMED then
    room.trimmed = meta.first_id
  else
    room.trimmed = tonumber(string.match(entries[TRIMMED][1], '%d+')) + 1
  end
  call('XTRIM', at.log_of .. room.number, 'MINID', '=', room.trimmed .. '-0')
  room.changed = true
end

function rooms.find(name)
  if found[name] == nil then
    local packed = call('HGET', at.rooms, name)
    if packed then
      local room, values = {name = name}, decode(packed)
      for i, field in ipairs(rooms.FIELDS) do
        room[field] = values[i]
      end
      found[name] = room
      if room.trimmed < meta.first_id then
        trim(room)
      end
    else
      found[name] = false
    end
  end
  return found[name]
end

-- A new room; `room` has its name, kind, title, topic, owner, maker and `everything`.
function rooms.make(room)
  meta.room = meta.room + 1
  room.number, room.pair, room.trimmed = meta.room, room.pair or false, meta.first_id
  for _, field in ipairs(rooms.FIELDS) do
    if room[field] == nil then
      room[field] = 0
    end
  end
  room.changed = true
  found[room.name] = room
  if room.kind == 'public' then
    call('ZADD', at.public, 0, room.name)
  end
  if room.maker ~= '' then
    call('HINCRBY', at.made, room.maker, 1)
  end
  return room
end

function rooms.lobby()
  return rooms.find(LOBBY)
end

function rooms.make_lobby()
  rooms.make({
    name = LOBBY, kind = 'public', title = LOBBY, topic = '', owner = '', maker = '',
    everything = true,
  })
end

-- Whether this identity may make no more.
function rooms.are_too_many(by)
  return tonumber(call('HGET', at.made, by) or 0) >= rules.max_made
end

function rooms.revoke_passes(room)
  for _, digest in ipairs(call('SMEMBERS', at.passes_of .. room.number)) do
    call('HDEL', at.passes, digest)
  end
  call('DEL', at.passes_of .. room.number)
end

-- Nobody names the room any more. What is left of it and needs more than a step is erased later.
function rooms.finish(room)
  local number = room.number
  rooms.revoke_passes(room)
  for _, name in ipairs(at.of_rooms) do
    if name ~= 'log' and name ~= 'reactions' then
      call('UNLINK', at[name .. '_of'] .. number)
    end
  end
  call('ZADD', at.ending, steady + ERASED_LATER_MS, number)
  if room.maker ~= '' and call('HINCRBY', at.made, room.maker, -1) < 1 then
    call('HDEL', at.made, room.maker)
  end
  if room.pair then
    local by, _, other = unpack(room.pair)
    call('HDEL', at.direct, by .. ' ' .. other, other .. ' ' .. by)
  end
  call('ZREM', at.public, room.name)
  call('ZREM', at.due, room.name)
  call('HDEL', at.rooms, room.name)
  found[room.name], room.finished = false, true
end

function rooms.save()
  for name, room in pairs(found) do
    if room and room.changed then
      local values = {}
      for i, field in ipairs(rooms.FIELDS) do
        values[i] = room[field]
      end
      call('HSET', at.rooms, name, encode(values))
    end
  end
end

--- The log.

-- The next entry of the tail. `text` is beside its body, since it may have to be erased; false: none.
local function append(kind, body, name, text)
  meta.last_id, meta.last_ms = meta.last_id + 1, now
  local id = meta.last_id .. '-0'
  if text then
    call('XADD', at.tail, id, kind, body, 'r', name, 't', text)
  else
    call('XADD', at.tail, id, kind, body, 'r', name)
  end
  if rules.keep_ms and meta.timed ~= now then
    call('XADD', at.times, id, 't', now)
    meta.timed = now
  end
  return id
end

-- An event of a room: {prev, time, name, identity, number, …} and what its kind has. Returns what
-- answers to it.
function rooms.add(room, kind, name, by, text, ...)
  if kind == 'chat' then
    room.said = room.said + 1
  end
  local body = encode({room.last_id, now, name, by, room.said, ...})
  local id = append(kind, body, room.name, text)
  call('XADD', at.log_of .. room.number, id, kind, body)
  if text then
    call('HSET', at.texts_of .. room.number, meta.last_id, text)
  end
  room.last_id, room.changed = meta.last_id, true
  return {meta.last_id, now}
end

-- An entry that is told to nobody: seats begin and end with it.
function rooms.change_seats(changes)
  append('seat', encode({0, now, '', '', 0, changes}), '', false)
end

-- Take the entry's text out of the tail, with the entry.
function rooms.erase_from_tail(id)
  local entry = call('XRANGE', at.tail, id .. '-0', id .. '-0')[1]
  if entry then
    call('XDEL', at.tail, id .. '-0')
    call('ZADD', at.erased, id, id .. ':' .. decode(entry[2][2])[2])
  end
end

function rooms.trim_tail()
  local begin = tail_begin()
  call('XTRIM', at.tail, 'MINID', '=', begin .. '-0')
  call('ZREMRANGEBYSCORE', at.erased, '-inf', '(' .. begin)
end

--- Reactions.

-- The kinds of reactions to a message.
function rooms.kinds(room, id)
  local packed = call('HGET', at.reactions_of .. room.number, id)
  return packed and decode(packed) or {}
end

function rooms.forget_reactions(room, id)
  for _, kind in ipairs(rooms.kinds(room, id)) do
    call('UNLINK', at.reacted_of .. id .. ':' .. kind)
  end
  call('HDEL', at.reactions_of .. room.number, id)
  call('ZREM', at.reacting_of .. room.number, id)
end

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
  local reactions = {}
  for i, kind in ipairs(rooms.kinds(room, id)) do
    local set = at.reacted_of .. id .. ':' .. kind
    local names = {}
    for j, member in ipairs(call('ZRANGE', set, 0, rules.max_reaction_names - 1)) do
      names[j] = string.match(member, ' (.*)')
    end
    reactions[i] = {kind, call('ZCARD', set), names}
  end
  room.reacted_at, room.changed = steady, true
  rooms.add(room, 'react', '', '', false, tonumber(id), reactions)
  return true
end

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
  local seen, left, names, count = {}, {}, {}, 0
  for _, notice in ipairs(notices[room]) do
    -- Of one name, only the first of its notices: joins and leaves are told in their order.
    if notice[1] == kind and not seen[notice[2]] then
      count = count + 1
      if count <= rules.max_users then
        names[count] = notice[3]
      end
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
  rooms.add(room, kind, '', '', false, names, count + room['nameless_' .. kind], place)
  room['nameless_' .. kind] = 0
  return true
end

-- Whether the name's join was waiting to be told, and is no more.
local function cancel_join(room, key, name)
  local waited = room.pending_join > 0
    and call('LREM', at.notices_of .. room.number, -1, encode({'join', key, name})) > 0
  if waited then
    room.pending_join = room.pending_join - 1
    notices[room] = nil
  end
  return waited
end

-- Somebody has come or gone; nobody is told so of a direct room.
function rooms.notify(room, kind, key, name)
  if room.kind == 'direct' then
    return
  end
  room.changed = true
  if kind == 'leave' and cancel_join(room, key, name) then
    return -- nobody was told of either
  end
  if room['pending_' .. kind] >= rules.max_notices then
    room['nameless_' .. kind] = room['nameless_' .. kind] + 1
    return
  end
  local notice = {kind, key, name}
  call('RPUSH', at.notices_of .. room.number, encode(notice))
  if notices[room] then
    notices[room][#notices[room] + 1] = notice
  end
  room['pending_' .. kind] = room['pending_' .. kind] + 1
  rooms.have_to_tell(room)
end

--- Telling.

function rooms.have_to_tell(room)
  fresh[#fresh + 1] = room
end

-- Tell what is due in the rooms in which something has happened.
function rooms.tell()
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
function rooms.tell_due()
  for _, name in ipairs(call('ZRANGEBYSCORE', at.due, '-inf', steady, 'LIMIT', 0, FREED)) do
    local room = rooms.find(name)
    if room then
      rooms.have_to_tell(room)
    end
  end
  rooms.tell()
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

function rooms.save_due()
  for room in pairs(later) do
    local moment = not room.finished and due(room)
    if moment then
      call('ZADD', at.due, moment, room.name)
    elseif not room.finished then
      call('ZREM', at.due, room.name)
    end
  end
end

-- Erase a part of a room that has ended: of its log what is still in the tail, since it may be told
-- there, and reactions. The tail keeps who was in it until its end.
function rooms.erase_ended()
  local number = call('ZRANGEBYSCORE', at.ending, '-inf', steady, 'LIMIT', 0, 1)[1]
  if not number then
    return
  end
  local log, reactions = at.log_of .. number, at.reactions_of .. number
  call('XTRIM', log, 'MINID', '=', tail_begin() .. '-0')
  for _, entry in ipairs(call('XRANGE', log, '-', '+', 'COUNT', FREED)) do
    if entry[2][1] ~= 'notice' then
      rooms.erase_from_tail(string.match(entry[1], '%d+'))
    end
    call('XDEL', log, entry[1])
  end
  local some = call('HSCAN', reactions, 0, 'COUNT', FREED)[2]
  for i = 1, #some, 2 do
    rooms.forget_reactions({number = number}, some[i])
  end
  if call('XLEN', log) == 0 and call('EXISTS', reactions) == 0 then
    call('UNLINK', log)
    call('ZREM', at.ending, number)
  end
end
