--- Operations. Each checks everything before it changes anything, and answers with a success or with
--- {word, …}, why not.

local NO_ROOM, NO_MESSAGE = {'no room'}, {'no message'}

-- What is done by nobody, by the holder of a name, from a seat in a room, and by the owner of a private
-- room: what each table's functions take first, `operations.run` finds or refuses. All else is done by
-- moderators.
local by_nobody = {}
local by_holder = {} -- key of the name, its record, …
local by_stay = {} -- key, record, stay
local by_seat = {} -- key, record, the room, the seat, …
local by_owner = {} -- key, record, the room, …
operations.by_nobody, operations.by_holder, operations.by_stay = by_nobody, by_holder, by_stay

-- Why somebody may not say anything in a room; false or nil: it may.
local function is_muted(record, room)
  return room.sanctioned > 0 and sanctions.refusal(room, 'mute', record.by, record.address or '')
end

function operations.run(name, key, holder, ...)
  if by_nobody[name] then
    return by_nobody[name](key, holder, ...)
  end
  local record, stay = names.find_held(key, holder)
  if not record then
    return {'lost'}
  elseif by_holder[name] then
    return by_holder[name](key, record, ...)
  elseif by_stay[name] then
    return by_stay[name](key, record, stay)
  elseif not (by_seat[name] or by_owner[name]) then
    return moderation.run(name, record, ...)
  end
  local room = rooms.find((...))
  local seat = room and seats.find(room, record.by)
  if not seat or seat[1] ~= select(2, ...) then
    return {'unseated'}
  elseif by_seat[name] then
    return by_seat[name](key, record, room, seat, select(3, ...))
  elseif room.kind ~= 'private' or room.owner ~= record.by then
    return {'not the owner'}
  elseif is_muted(record, room) then
    return is_muted(record, room)
  end
  return by_owner[name](key, record, room, select(3, ...))
end

--- What `join` has brought.

-- `digest` stands for the idempotency key with its scope; false: there is none.
function by_holder.append(key, record, text, digest, text_digest)
  local lobby = rooms.lobby()
  if not seats.find(lobby, record.by) then
    return {'unseated'}
  end
  return messages.answered(digest, text_digest)
    or is_muted(record, lobby)
    or messages.say(lobby, record, text, digest, text_digest, 0)
end

--- Coming and going.

function by_holder.enter(key, record, name, makes)
  local room = rooms.find(name)
  local seat = room and seats.find(room, record.by)
  if seat then
    return {seat[1], name}
  elseif string.find(name, '^[+@]') or (room and room.kind ~= 'public') or not (room or makes) then
    return NO_ROOM
  end
  local refusal = sanctions.refusal(room, 'ban', record.by, record.address or '')
    or name ~= LOBBY and seats.are_too_many(record)
    or not room and rooms.are_too_many(record)
  if refusal then
    return refusal
  elseif not room then
    room = rooms.make({
      name = name, kind = 'public', title = name, topic = '', owner = '', maker = record.by,
      everything = true,
    })
  end
  return seats.begin(room, key, record)
end

function by_holder.open_room(key, record, name, title, topic, everything)
  local room = rooms.find(name)
  local seat = room and seats.find(room, record.by)
  if seat then
    return {seat[1], name} -- it was asked for before, and the answer was not heard
  elseif room then
    return NO_ROOM
  end
  local refusal = seats.are_too_many(record) or rooms.are_too_many(record)
  if refusal then
    return refusal
  end
  room = rooms.make({
    name = name, kind = 'private', title = title, topic = topic, owner = record.by,
    maker = record.by, everything = everything,
  })
  return seats.begin(room, key, record)
end

function by_holder.direct(key, record, other_key, name)
  local other = names.find(other_key)
  if not other then
    return NO_ROOM
  end
  local present = call('HGET', at.direct, record.by .. ' ' .. other.by)
  if present then
    return {seats.find(rooms.find(present), record.by)[1], present}
  end
  local is_blocked = call('SISMEMBER', at.blocks_of .. other.by, key) == 1
  if record.by == other.by or is_blocked or seats.cannot_be_asked(other) then
    return NO_ROOM
  elseif seats.are_too_many(record) then
    return seats.are_too_many(record)
  end
  call('HSET', at.direct, record.by .. ' ' .. other.by, name, other.by .. ' ' .. record.by, name)
  local room = rooms.make({
    name = name, kind = 'direct', title = '', topic = '', owner = '', maker = '',
    everything = true, pair = {record.by, record.name, other.by, other.name},
  })
  return seats.begin_both(room, key, record, other_key, other)
end

function by_holder.accept(key, record, digest)
  local packed = call('HGET', at.passes, digest)
  local pass = packed and decode(packed)
  if not pass or pass[2] < now then
    return NO_ROOM
  end
  local room = rooms.find(pass[1])
  local seat = seats.find(room, record.by)
  if seat then
    return {seat[1], room.name}
  end
  local refusal = sanctions.refusal(room, 'ban', record.by, record.address or '')
    or seats.are_too_many(record)
  if refusal then
    return refusal
  end
  if pass[3] == 1 then
    call('HDEL', at.passes, digest)
    call('SREM', at.passes_of .. room.number, digest)
  elseif pass[3] then
    pass[3] = pass[3] - 1
    call('HSET', at.passes, digest, encode(pass))
  end
  return seats.begin(room, key, record)
end

function by_seat.leave_room(key, record, room, seat)
  seats.leave(room, key, record)
  return true
end

function by_holder.block(key, record, other_key, on)
  local blocks = at.blocks_of .. record.by
  if not on then
    call('SREM', blocks, other_key)
  elseif call('SISMEMBER', blocks, other_key) == 0 and call('SCARD', blocks) >= rules.max_blocked then
    return {'blocked'}
  else
    call('SADD', blocks, other_key)
  end
  return true
end

--- What is said.

-- Why somebody is not heard in a room: it is muted, or this is a conversation whose other one blocks the
-- name with this key; nil: it is heard.
local function is_unheard(key, record, room)
  if room.kind == 'direct' then
    for _, by in ipairs(call('HKEYS', at.seats_of .. room.number)) do
      if by ~= record.by and call('SISMEMBER', at.blocks_of .. by, key) == 1 then
        return {'not heard'}
      end
    end
  end
  return is_muted(record, room)
end

function by_seat.say(key, record, room, seat, text, digest, text_digest, reply_to)
  local answer = messages.answered(digest, text_digest)
  if not answer and reply_to ~= 0 and not messages.author(room, seat, reply_to) then
    return NO_MESSAGE
  end
  local refusal = not answer and is_unheard(key, record, room)
  if refusal then
    return refusal
  end
  answer = answer or messages.say(room, record, text, digest, text_digest, reply_to)
  if answer[1] ~= 'key' then
    messages.mark_read(room, record.by, room.last_id)
  end
  return answer
end

-- Why this identity may not change the message; nil: it may.
local function refusal(record, room, seat, id)
  local author = messages.author(room, seat, id)
  if not author then
    return NO_MESSAGE
  elseif author ~= record.by then
    return {'not yours'}
  end
end

function by_seat.edit(key, record, room, seat, id, text)
  return refusal(record, room, seat, id)
    or is_unheard(key, record, room)
    or messages.edit(room, record, id, text)
end

function by_seat.remove(key, record, room, seat, id)
  return refusal(record, room, seat, id) or messages.remove(room, record, id, '')
end

function by_seat.react(key, record, room, seat, id, kind, on)
  if not messages.author(room, seat, id) then
    return NO_MESSAGE
  end
  return is_unheard(key, record, room) or messages.react(room, record, id, kind, on)
end

function by_seat.mark_read(key, record, room, seat, id)
  messages.mark_read(room, record.by, id)
  return true
end

function by_seat.typing(key, record, room)
  local refusal = is_unheard(key, record, room)
  if not refusal then
    telling.aside(room, 'typing', record, true)
  end
  return refusal or true
end

-- For the room's moderators.
function by_seat.set_topic(key, record, room, seat, topic, role)
  if room.kind == 'direct' or ranks.of(room, record.by, role) == 0 then
    return {'not the owner'}
  elseif is_muted(record, room) then
    return is_muted(record, room)
  end
  room.topic = topic
  local text = topic == '' and ' cleared the topic' or ' set the topic: ' .. topic
  return rooms.add(room, 'topic', record.name, record.by, false, record.name .. text, {})
end

--- What the owner of a private room does.

-- `uses` false: any number.
function by_owner.create_pass(key, record, room, digest, lasting_ms, uses)
  local own = at.passes_of .. room.number
  for _, other in ipairs(call('SMEMBERS', own)) do
    if decode(call('HGET', at.passes, other))[2] < now then
      call('HDEL', at.passes, other)
      call('SREM', own, other)
    end
  end
  if call('SCARD', own) >= rules.max_passes then
    return {'passes'}
  end
  call('SADD', own, digest)
  call('HSET', at.passes, digest, encode({room.name, now + lasting_ms, uses}))
  return true
end

function by_owner.revoke_passes(key, record, room)
  rooms.revoke_passes(room)
  return true
end

function by_owner.hand_on(key, record, room, other_key)
  local other = names.find(other_key)
  local refusal = seats.missing(room, other)
  if refusal then
    return refusal
  end
  seats.give(room, other.by, seats.find(room, other.by)[2])
  return true
end

function by_owner.close_room(key, record, room)
  seats.close(room, record.name, record.by, record.name .. ' closed the room')
  return true
end

--- All else.

-- Answered once the whole batch is settled.
function by_nobody.tick()
  operations.ticked = true
  return true
end

-- The worker ends: what it still holds waits from now on.
function by_nobody.goodbye()
  call('ZREM', at.leases, worker)
  -- It is forgotten by a later batch, not by this one, which is kept as its last.
  call('ZADD', at.gone, steady + math.max(1, rules.grace_ms), worker)
  return true
end
