--- Seats: who is in which room. An identity is called `by`, as in events.

local seen = {} -- those that were looked at, by room and identity; false: none

-- {number, name, messages that are read, key of the name, in the lobby the place in its order}, or false.
function seats.find(room, by)
  seen[room] = seen[room] or {}
  if seen[room][by] == nil then
    local packed = call('HGET', at.seats_of .. room.number, by)
    seen[room][by] = packed and decode(packed)
  end
  return seen[room][by]
end

function seats.put(room, by, seat)
  seen[room] = seen[room] or {}
  seen[room][by] = seat
  call('HSET', at.seats_of .. room.number, by, encode(seat))
end

-- What one identity is in beside the lobby, in the order in which it came in: {room, number}.
local function inside(by)
  local found = {}
  for i, name in ipairs(call('ZRANGE', at.inside_of .. by, 0, -1)) do
    local room = rooms.find(name)
    found[i] = {room, seats.find(room, by)[1]}
  end
  table.sort(found, function(one, other) return one[2] < other[2] end)
  return found
end

-- {room's name, number} of each seat, the lobby's first.
function seats.list(by)
  local list, lobby = {}, seats.find(rooms.lobby(), by)
  if lobby then
    list[1] = {LOBBY, lobby[1]}
  end
  for _, place in ipairs(inside(by)) do
    list[#list + 1] = {place[1].name, place[2]}
  end
  return list
end

-- Why nothing can be done to somebody in a room: it is not there; nil: it is.
function seats.missing(room, other)
  if not other or not seats.find(room, other.by) then
    return {'nobody', other and other.name or 'Nobody of that name'}
  end
end

-- Why somebody may be in no more rooms, or nil.
function seats.are_too_many(record)
  local most = rooms.bounds(record).rooms
  return call('ZCARD', at.inside_of .. record.by) >= most and {'rooms', most} or nil
end

-- Whether nobody else can ask for one more direct room with somebody; their names begin with @.
function seats.cannot_be_asked(record)
  return seats.are_too_many(record)
    or call('ZLEXCOUNT', at.inside_of .. record.by, '[@', '(A') >= rooms.bounds(record).direct
end

function seats.sit(room, key, record, number)
  local by, name, place = record.by, record.name, nil
  if room.name == LOBBY then
    place = names.into_lobby(name)
  else
    call('ZADD', at.inside_of .. by, 0, room.name)
  end
  seats.put(room, by, {number, name, room.said, key, place})
  call('ZADD', at.people_of .. room.number, 0, name .. '\0' .. by)
  if room.kind == 'private' then
    call('ZADD', at.seated_of .. room.number, number, by)
  end
end

-- End a seat; returns the change, of which the log is to tell.
local function stand_up(room, by)
  local number, name, _, key = unpack(seats.find(room, by))
  seen[room][by] = false
  call('HDEL', at.seats_of .. room.number, by)
  call('ZREM', at.people_of .. room.number, name .. '\0' .. by)
  if room.name == LOBBY then
    local record = names.find(key) -- by now the name may be spelt in another way
    names.out_of_lobby(record and record.by == by and record.name or name)
  else
    call('ZREM', at.inside_of .. by, room.name)
  end
  if room.kind == 'private' then
    call('ZREM', at.seated_of .. room.number, by)
  end
  return {by, room.name, number, false}
end

-- A seat that begins with an entry of the log; returns it as callers get it.
function seats.begin(room, key, record)
  local number = meta.last_id + 1
  seats.sit(room, key, record, number)
  rooms.change_seats({{record.by, room.name, number, true}})
  telling.notify(room, 'join', key, record.name, record.by)
  return {number, room.name}
end

-- Both come in at once.
function seats.begin_both(room, key, record, other_key, other)
  local number = meta.last_id + 1
  seats.sit(room, key, record, number)
  seats.sit(room, other_key, other, number)
  rooms.change_seats({{record.by, room.name, number, true}, {other.by, room.name, number, true}})
  return {number, room.name}
end

-- Tell the room so, and end it with all of its seats.
function seats.close(room, name, by, text)
  local everyone = room.kind == 'private' and call('ZRANGE', at.seated_of .. room.number, 0, -1)
    or call('HKEYS', at.seats_of .. room.number)
  local changes = {}
  for i, whose in ipairs(everyone) do
    changes[i] = stand_up(room, whose)
  end
  rooms.add(room, 'notice', name, by, false, text, changes)
  rooms.finish(room)
end

function seats.give(room, by, name)
  room.owner = by
  rooms.add(room, 'notice', name, by, false, name .. ' owns the room now', {})
end

-- What follows when somebody's seat has ended, of which the room was told or is to be told.
local function is_gone(room, key, name, by, was_told)
  if room.kind == 'direct' then
    seats.close(room, name, by, name .. ' left; this conversation is over')
    return
  end
  if not was_told then
    telling.notify(room, 'leave', key, name, by)
  end
  if room.name == LOBBY then
    return
  end
  local is_empty = call('EXISTS', at.seats_of .. room.number) == 0
  if is_empty and (room.kind == 'private' or room.said == 0) then
    rooms.finish(room)
  elseif room.owner == by then
    local oldest = call('ZRANGE', at.seated_of .. room.number, 0, 0)[1]
    seats.give(room, oldest, seats.find(room, oldest)[2])
  end
end

function seats.leave(room, key, record)
  rooms.change_seats({stand_up(room, record.by)})
  is_gone(room, key, record.name, record.by)
end

-- End the seat of somebody, who hears so last of all.
function seats.send_out(room, key, record, doer, text)
  local number = seats.find(room, record.by)[1]
  local change = {record.by, room.name, number, false}
  rooms.add(room, 'notice', doer.name, doer.by, false, text, {change})
  stand_up(room, record.by)
  is_gone(room, key, record.name, record.by, true)
end

-- End all seats of an identity, and what goes with it; returns how many.
function seats.end_stay(key, record)
  local by = record.by
  local left, changes = {}, {}
  for i, place in ipairs(inside(by)) do
    left[i], changes[i] = place[1], stand_up(place[1], by)
  end
  if seats.find(rooms.lobby(), by) then
    local is_online = call('ZSCORE', at.order, record.name)
    stand_up(rooms.lobby(), by)
    left[#left + 1] = is_online and rooms.lobby() or nil
  end
  if #changes > 0 then
    rooms.change_seats(changes)
  end
  for _, room in ipairs(left) do
    is_gone(room, key, record.name, by)
  end
  call('UNLINK', at.blocks_of .. by)
  return #left
end

--- Being online.

local function tell_presence(record, is_online)
  if call('ZCARD', at.inside_of .. record.by) > rules.max_presence then
    return
  end
  for _, seat in ipairs(seats.list(record.by)) do
    local room = rooms.find(seat[1])
    if call('ZCARD', at.people_of .. room.number) <= rules.max_presence then
      telling.aside(room, 'presence', record, is_online)
    end
  end
end

-- An account has a place, for the first time in a while.
function seats.come_online(key, record)
  local lobby = rooms.lobby()
  if seats.find(lobby, record.by) then
    names.into_lobby(record.name)
    telling.notify(lobby, 'join', key, record.name, record.by)
  end
  tell_presence(record, true)
end

-- An account has no place any more.
function seats.go_offline(key, record)
  if names.out_of_lobby(record.name) then
    telling.notify(rooms.lobby(), 'leave', key, record.name, record.by)
  end
  tell_presence(record, false)
end
