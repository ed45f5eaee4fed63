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

-- Whether whoever a record is of has a stay.
local function is_online(record)
  return not record.places or #record.places > 0
end

-- Those whom the chat knows, of names after one: {name, record} of each; and the last name, if there
-- may be more of them.
local function known(after, limit)
  local from = after and '[' .. after .. '\1' or '-'
  local found, last = {}, false
  for i, member in ipairs(call('ZRANGEBYLEX', at.known, from, '+', 'LIMIT', 0, limit)) do
    local name, key = string.match(member, '^(.-)%z(.*)$')
    found[i] = {name, decode(call('HGET', at.names, key))}
    last = i == limit and name
  end
  return found, last
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
    local packed = call('HGET', at.names, seat_of(room, who)[4])
    local record = packed and decode(packed)
    local is_here = record and record.by == who
    local role = 'member'
    if room.kind == 'private' and room.owner == who then
      role = 'owner'
    elseif room.kind == 'public' and is_here and (record.role or role) ~= role then
      role = 'moderator'
    end
    found[i] = {shown, is_here and is_online(record) and 1 or 0, role}
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

-- Keys of names that somebody blocks, in no order.
function questions.blocked(by)
  return call('SMEMBERS', at.blocks_of .. by)
end

-- Of each key the name as it is shown; of nobody's the key.
function questions.shown(keys)
  local found = {}
  for i, key in ipairs(keys) do
    local packed = call('HGET', at.names, key)
    found[i] = packed and decode(packed).name or key
  end
  return found
end

--- For admins.

function questions.everyone(after, limit)
  local lobby, found = load_room(LOBBY), known(after, limit)
  for i, each in ipairs(found) do
    local name, record = unpack(each)
    local inside = call('ZCARD', at.inside_of .. record.by)
      + call('HEXISTS', at.seats_of .. lobby.number, record.by)
    found[i] = {name, record.role or false, is_online(record) and 1 or 0, inside}
  end
  return found
end

-- Stays; after which name to go on, or false.
function questions.places(after, limit)
  local found, last = known(after, limit)
  local places = {}
  for _, each in ipairs(found) do
    local name, record = unpack(each)
    for _, stay in ipairs(record.places or {record}) do
      local is_waiting = stay.waiting or call('ZSCORE', at.gone, stay.worker)
      places[#places + 1] = {name, record.places and 1 or 0, not is_waiting and stay.holder}
    end
  end
  return {last, places}
end

-- Rooms but direct ones, whose names begin with @: those below them from one bound on, and those above
-- from the other.
function questions.all_rooms(low, high, limit)
  local found = {}
  for _, range in ipairs({{low, '(@'}, {high, '+'}}) do
    local from, to = unpack(range)
    for _, name in ipairs(call('ZRANGEBYLEX', at.named, from, to, 'LIMIT', 0, limit - #found)) do
      found[#found + 1] = info(load_room(name), '', false)
    end
  end
  return found
end

-- After which name to go on, or false; and how many messages were said in those rooms.
function questions.said(after, limit)
  local said, last = 0, false
  local from = after and '(' .. after or '-'
  for i, name in ipairs(call('ZRANGEBYLEX', at.named, from, '+', 'LIMIT', 0, limit)) do
    said = said + load_room(name).said
    last = i == limit and name
  end
  return {last, said}
end

-- Accounts, those online, their places; all names; rooms; sanctions; what the log counts.
function questions.statistics()
  local numbers = call('HMGET', at.counts, 'accounts', 'online', 'places')
  for i = 1, 3 do
    numbers[i] = tonumber(numbers[i] or 0)
  end
  local log = call('HMGET', at.meta, 'first_id', 'last_id', 'uncounted')
  return {
    numbers[1], numbers[2], numbers[3], call('HLEN', at.names), call('ZCARD', at.named),
    call('HLEN', at.sanctions), tonumber(log[1]), tonumber(log[2]), tonumber(log[3]),
  }
end

local question = decode(ARGV[1])
return questions[question[1]](unpack(question, 2))
