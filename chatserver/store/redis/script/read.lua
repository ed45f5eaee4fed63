-- What is read of rooms, beside the script that writes: nothing is changed here, and who may read is
-- checked in the same step.
--
-- ARGV     MessagePack: the question's name, and what it takes.

local SCANNED = 1000 -- entries that one question looks at
local CHUNK = 64 -- of them in one go
local NAMES = 50 -- that are listed for each kind of reaction
local WANTED = {
  seed = {chat = true, join = true, leave = true},
  messages = {chat = true},
}

-- {number, name, what is read, key of the name}; false: the identity is not in the room.
local function seat_of(room, by)
  local packed = room and call('HGET', at.seats_of .. room.number, by)
  return packed and decode(packed) or false
end

-- An event as it stands: {id, type, body, text, when it was edited, reactions}.
local function present(room, entry, kinds)
  local id, kind, body = id_of(entry), entry[2][1], entry[2][2]
  local text, edited, reacted = false, false, false
  if kind == 'chat' or kind == 'edit' then
    text = call('HGET', at.texts_of .. room.number, id)
  end
  if kind == 'chat' and text then
    local packed = call('HGET', at.edited_of .. room.number, id)
    edited = packed and decode(packed)[1]
  end
  if kinds == 'messages' then
    reacted = reactions.list(room, id, NAMES)
  end
  return {id, kind, body, text, edited, reacted}
end

-- Events of a room from `low` to `high`, as many as `count` of these kinds. Returns where to go on,
-- 0 at the end, and the events.
local function read(room, kinds, low, high, count, is_newest)
  local bounds = call('HMGET', at.meta, 'first_id', 'last_id')
  low, high = math.max(low, tonumber(bounds[1])), math.min(high, tonumber(bounds[2]))
  local wanted, found, scanned = WANTED[kinds], {}, 0
  local log, chunk = at.log_of .. room.number, wanted and CHUNK or math.min(CHUNK, count)
  while low <= high and #found < count and scanned < SCANNED do
    local entries = is_newest and call('XREVRANGE', log, high .. '-0', low .. '-0', 'COUNT', chunk)
      or call('XRANGE', log, low .. '-0', high .. '-0', 'COUNT', chunk)
    for _, entry in ipairs(entries) do
      if #found == count then
        break
      elseif not wanted or wanted[entry[2][1]] then
        found[#found + 1] = present(room, entry, kinds)
      end
      low = is_newest and low or id_of(entry) + 1
      high = is_newest and id_of(entry) - 1 or high
    end
    scanned = scanned + #entries
    if #entries < chunk and #found < count then
      return 0, found
    end
  end
  return low <= high and (is_newest and high or low) or 0, found
end

-- A room as somebody sees it: what RoomInfo has.
local function info(room, by, seat)
  local pair, other = room.pair, false
  if pair then
    other = pair[1] == by and pair[4] or pair[2]
  end
  return {
    room.name, room.kind, room.title, room.topic, call('ZCARD', at.people_of .. room.number),
    room.last_id, seat and seat[1], seat and room.said - seat[3] or 0, other,
    room.kind == 'private' and room.owner == by and 1 or 0, room.everything and 1 or 0,
  }
end

local questions = {}

-- `by` false: the server itself asks.
function questions.range(name, kinds, low, high, count, is_newest, by, number)
  local room = load_room(name)
  if by then
    local seat = seat_of(room, by)
    if not seat or seat[1] ~= number then
      return {false}
    end
    local is_hidden = room.kind == 'private' and not room.everything
    low = is_hidden and math.max(low, number + 1) or low
  end
  if not room then
    return {0, {}}
  end
  return {read(room, kinds, low, high, count, is_newest)}
end

-- Of each {name, low} with news: {name, where to go on, events}.
function questions.news(wanted, high, count)
  local news = {}
  for _, each in ipairs(wanted) do
    local name, low = each[1], each[2]
    local room = load_room(name)
    if room and room.last_id >= low then
      news[#news + 1] = {name, read(room, 'events', low, high, count, false)}
    end
  end
  return news
end

-- Of each {name, low} that has news, the name.
function questions.newer(wanted)
  local newer = {}
  for _, each in ipairs(wanted) do
    local room = load_room(each[1])
    if room and room.last_id >= each[2] then
      newer[#newer + 1] = each[1]
    end
  end
  return newer
end

-- Who is in the lobby, in joining order.
function questions.names()
  return call('ZRANGE', at.order, 0, -1)
end

-- How many that are, and how many messages were said there.
function questions.counts()
  return {call('ZCARD', at.order), load_room(LOBBY).said + call('HGET', at.meta, 'uncounted')}
end

function questions.people(name, by, number, after, limit)
  local room = load_room(name)
  local seat = seat_of(room, by)
  if not seat or seat[1] ~= number then
    return {false}
  end
  local from = after and '[' .. after .. '\1' or '-'
  local found = {}
  for i, member in ipairs(
    call('ZRANGEBYLEX', at.people_of .. room.number, from, '+', 'LIMIT', 0, limit)
  ) do
    local shown, who = string.match(member, '^(.*)%z(.*)$')
    local key = seat_of(room, who)[4]
    local packed = call('HGET', at.names, key)
    local is_online = packed and decode(packed).by == who
    local is_owner = room.kind == 'private' and room.owner == who
    found[i] = {shown, is_online and 1 or 0, is_owner and 'owner' or 'member'}
  end
  return {found}
end

function questions.room(name, by, number)
  local room = load_room(name)
  local seat = seat_of(room, by)
  if not seat or seat[1] ~= number then
    return {false}
  end
  return {info(room, by, seat)}
end

-- Those after a name, in no order: public ones unless `inside`, and those in which one is; `limit` of
-- each kind, and the lobby.
function questions.rooms(by, after, limit, inside)
  local from = after and '(' .. after or '-'
  local sets = {at.inside_of .. by, not inside and at.public or nil}
  local found, seen = {}, {}
  for _, set in ipairs(sets) do
    for _, name in ipairs(call('ZRANGEBYLEX', set, from, '+', 'LIMIT', 0, limit)) do
      if not seen[name] then
        seen[name] = true
        local room = load_room(name)
        found[#found + 1] = info(room, by, seat_of(room, by))
      end
    end
  end
  local lobby = inside and load_room(LOBBY)
  local seat = seat_of(lobby, by)
  if seat then
    found[#found + 1] = info(lobby, by, seat)
  end
  return found
end

local question = decode(ARGV[1])
return questions[question[1]](unpack(question, 2))
