-- What is read of rooms, beside the script that writes: nothing is changed here, and who may read is
-- checked in the same step. See state.lua for what is kept.
--
-- KEYS[1]  the tail; what else is used has the same prefix.
-- ARGV     MessagePack: the question's name, and what it takes.

local call, decode = redis.call, cmsgpack.unpack

local PREFIX = string.sub(KEYS[1], 1, -5)
local LOBBY = 'lobby'
local SCANNED = 1000 -- entries that one question looks at
local CHUNK = 64 -- of them in one go
local NAMES = 50 -- that are listed for each kind of reaction
local WANTED = {
  seed = {chat = true, join = true, leave = true},
  messages = {chat = true},
}

local function find(name)
  local packed = call('HGET', PREFIX .. 'rooms', name)
  return packed and decode(packed)
end

local function seat_of(room, by)
  local packed = room and call('HGET', PREFIX .. 'seats:' .. room[1], by)
  return packed and decode(packed)
end

local function id_of(entry)
  return tonumber(string.match(entry[1], '%d+'))
end

local function read_reactions(number, id)
  local packed = call('HGET', PREFIX .. 'reactions:' .. number, id)
  local reactions = {}
  for i, kind in ipairs(packed and decode(packed) or {}) do
    local set = PREFIX .. 'reacted:' .. id .. ':' .. kind
    local names = {}
    for j, member in ipairs(call('ZRANGE', set, 0, NAMES - 1)) do
      names[j] = string.match(member, ' (.*)')
    end
    reactions[i] = {kind, call('ZCARD', set), names}
  end
  return reactions
end

-- An event as it stands: {id, type, body, text, when it was edited, reactions}.
local function present(number, entry, kinds)
  local id, kind, body = id_of(entry), entry[2][1], entry[2][2]
  local text, edited, reactions = false, false, false
  if kind == 'chat' or kind == 'edit' then
    text = call('HGET', PREFIX .. 'texts:' .. number, id)
  end
  if kind == 'chat' and text then
    local packed = call('HGET', PREFIX .. 'edited:' .. number, id)
    edited = packed and decode(packed)[1]
  end
  if kinds == 'messages' then
    reactions = read_reactions(number, id)
  end
  return {id, kind, body, text, edited, reactions}
end

-- Events of a room from `low` to `high`, as many as `count` of these kinds. Returns where to go on,
-- 0 at the end, and the events.
local function read(number, kinds, low, high, count, is_newest)
  local bounds = call('HMGET', PREFIX .. 'meta', 'first_id', 'last_id')
  low, high = math.max(low, tonumber(bounds[1])), math.min(high, tonumber(bounds[2]))
  local wanted, found, scanned = WANTED[kinds], {}, 0
  local log, chunk = PREFIX .. 'log:' .. number, wanted and CHUNK or math.min(CHUNK, count)
  while low <= high and #found < count and scanned < SCANNED do
    local entries = is_newest and call('XREVRANGE', log, high .. '-0', low .. '-0', 'COUNT', chunk)
      or call('XRANGE', log, low .. '-0', high .. '-0', 'COUNT', chunk)
    for _, entry in ipairs(entries) do
      if #found == count then
        break
      elseif not wanted or wanted[entry[2][1]] then
        found[#found + 1] = present(number, entry, kinds)
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

-- A room as somebody sees it: {name, record, people, number of the seat, what is read}.
local function info(name, room, seat)
  local people = call('ZCARD', PREFIX .. 'people:' .. room[1])
  return {name, call('HGET', PREFIX .. 'rooms', name), people, seat and seat[1] or false, seat and seat[3] or 0}
end

local questions = {}

-- `by` false: the server itself asks.
function questions.range(name, kinds, low, high, count, is_newest, by, number)
  local room = find(name)
  if by then
    local seat = seat_of(room, by)
    if not seat or seat[1] ~= number then
      return {false}
    end
    local is_hidden = room[2] == 'private' and not room[7]
    low = is_hidden and math.max(low, number + 1) or low
  end
  if not room then
    return {0, {}}
  end
  return {read(room[1], kinds, low, high, count, is_newest)}
end

-- Of each {name, low} with news: {name, where to go on, events}.
function questions.news(wanted, high, count)
  local news = {}
  for _, each in ipairs(wanted) do
    local name, low = each[1], each[2]
    local room = find(name)
    if room and room[8] >= low then
      news[#news + 1] = {name, read(room[1], 'events', low, high, count, false)}
    end
  end
  return news
end

-- Of each {name, low} that has news, the name.
function questions.newer(wanted)
  local newer = {}
  for _, each in ipairs(wanted) do
    local room = find(each[1])
    if room and room[8] >= each[2] then
      newer[#newer + 1] = each[1]
    end
  end
  return newer
end

function questions.people(name, by, number, after, limit)
  local room = find(name)
  local seat = seat_of(room, by)
  if not seat or seat[1] ~= number then
    return {false}
  end
  local from = after and '[' .. after .. '\1' or '-'
  local found = {}
  for i, member in ipairs(
    call('ZRANGEBYLEX', PREFIX .. 'people:' .. room[1], from, '+', 'LIMIT', 0, limit)
  ) do
    local shown, who = string.match(member, '^(.*)%z(.*)$')
    local key = seat_of(room, who)[4]
    local packed = call('HGET', PREFIX .. 'names', key)
    local is_online = packed and decode(packed).by == who
    local is_owner = room[2] == 'private' and room[5] == who
    found[i] = {shown, is_online and 1 or 0, is_owner and 'owner' or 'member'}
  end
  return {found}
end

function questions.room(name, by, number)
  local room = find(name)
  local seat = seat_of(room, by)
  if not seat or seat[1] ~= number then
    return {false}
  end
  return {info(name, room, seat)}
end

-- Those after a name, in no order: public ones unless `inside`, and those in which one is; `limit` of
-- each kind, and the lobby.
function questions.rooms(by, after, limit, inside)
  local from = after and '(' .. after or '-'
  local found, seen = {}, {}
  for _, set in ipairs({not inside and 'public' or 'inside:' .. by, 'inside:' .. by}) do
    for _, name in ipairs(call('ZRANGEBYLEX', PREFIX .. set, from, '+', 'LIMIT', 0, limit)) do
      if not seen[name] then
        seen[name] = true
        local room = find(name)
        found[#found + 1] = info(name, room, seat_of(room, by))
      end
    end
  end
  local seat = inside and seat_of(find(LOBBY), by)
  if seat then
    found[#found + 1] = info(LOBBY, find(LOBBY), seat)
  end
  return found
end

local question = decode(ARGV[1])
return questions[question[1]](unpack(question, 2))
