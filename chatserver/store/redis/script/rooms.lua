--- Rooms, and what is added to the log of each.

local TRIMMED = 1000 -- events of one room that are trimmed when it is touched
local ERASED_LATER_MS = 5000 -- for as long the tail's followers may be behind and still tell them

local found = {} -- those that were looked at; false: there is none

local function trim(room)
  local entries = call(
    'XRANGE', at.log_of .. room.number, '-', '(' .. meta.first_id .. '-0', 'COUNT', TRIMMED
  )
  for _, entry in ipairs(entries) do
    local id, kind = id_of(entry), entry[2][1]
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
    room.trimmed = id_of(entries[TRIMMED]) + 1
  end
  call('XTRIM', at.log_of .. room.number, 'MINID', '=', room.trimmed .. '-0')
  room.changed = true
end

function rooms.find(name)
  if found[name] == nil then
    found[name] = load_room(name) or false
    if found[name] and found[name].trimmed < meta.first_id then
      trim(found[name])
    end
  end
  return found[name]
end

-- A room that was not there.
local function fill_up(room)
  room.pair, room.trimmed = room.pair or false, meta.first_id
  for _, field in ipairs(ROOM_FIELDS) do
    if room[field] == nil then
      room[field] = 0
    end
  end
  room.changed = true
  found[room.name] = room
  return room
end

-- A new room; `room` has its name, kind, title, topic, owner, maker and `everything`.
function rooms.make(room)
  meta.room = meta.room + 1
  room.number = meta.room
  fill_up(room)
  call('ZADD', at.named, 0, room.name)
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

-- The room of announcements, which has a number of its own and a name that nobody else sees.
function rooms.everywhere()
  return rooms.find(EVERYWHERE) or fill_up({
    name = EVERYWHERE, number = 0, kind = 'everywhere', title = EVERYWHERE, topic = '', owner = '',
    maker = '', everything = true,
  })
end

-- How many rooms somebody may have.
function rooms.bounds(record)
  return record.places and rules.account or rules.guest
end

-- Why somebody may make no more, or nil.
function rooms.are_too_many(record)
  local most = rooms.bounds(record).made
  return tonumber(call('HGET', at.made, record.by) or 0) >= most and {'made', most} or nil
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
  sanctions.end_room(room)
  for _, keys in ipairs(OF_ROOMS) do
    if keys ~= 'log_of' and keys ~= 'reactions_of' then
      call('UNLINK', at[keys] .. number)
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
  call('ZREM', at.named, room.name)
  call('ZREM', at.public, room.name)
  call('ZREM', at.due, room.name)
  call('HDEL', at.rooms, room.name)
  found[room.name], room.finished = false, true
end

function rooms.save()
  for name, room in pairs(found) do
    if room and room.changed then
      local values = {}
      for i, field in ipairs(ROOM_FIELDS) do
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
  call('XTRIM', at.tail, 'MINID', '=', tail_begin() .. '-0')
end

function rooms.forget_erased()
  call('ZREMRANGEBYSCORE', at.erased, '-inf', '(' .. tail_begin())
end

function rooms.forget_reactions(room, id)
  for _, kind in ipairs(reactions.kinds(room, id)) do
    call('UNLINK', at.reacted_of .. id .. ':' .. kind)
  end
  call('HDEL', at.reactions_of .. room.number, id)
  call('ZREM', at.reacting_of .. room.number, id)
end

-- Erase a part of a room that has ended, `most` entries: of its log what is still in the tail, since it
-- may be told there, and reactions. The tail keeps who was in it until its end. Returns how many entries.
local function erase(number, most)
  local log, reacted = at.log_of .. number, at.reactions_of .. number
  call('XTRIM', log, 'MINID', '=', tail_begin() .. '-0')
  local entries = call('XRANGE', log, '-', '+', 'COUNT', most)
  for _, entry in ipairs(entries) do
    if entry[2][1] ~= 'notice' then
      rooms.erase_from_tail(id_of(entry))
    end
    call('XDEL', log, entry[1])
  end
  local some = call('HSCAN', reacted, 0, 'COUNT', most)[2]
  for i = 1, #some, 2 do
    rooms.forget_reactions({number = number}, some[i])
  end
  if call('XLEN', log) == 0 and call('EXISTS', reacted) == 0 then
    call('UNLINK', log)
    call('ZREM', at.ending, number)
  end
  return #entries + #some / 2
end

-- Of rooms that have ended, in one go: they may end as fast as they are made.
function rooms.erase_ended()
  local left = FREED
  for _, number in ipairs(call('ZRANGEBYSCORE', at.ending, '-inf', steady, 'LIMIT', 0, FREED)) do
    if left > 0 then
      left = left - 1 - erase(number, left)
    end
  end
end
