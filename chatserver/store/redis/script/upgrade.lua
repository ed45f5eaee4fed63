-- Take over a part of a database from before there were rooms: all that it has is the lobby's; or all of
-- one from before there were accounts, which has all but what is new. Its workers may go on until the last
-- part; then they find a text where `meta` was, and each of their batches fails as a whole.
--
-- ARGV     MessagePack: {count, keep_ms or false, tail, names}; of each name by its key
--          {secret, identity, skeletons, scripts}.
-- Returns  {'more'}, {'names', {key, name, secret}, …} of those that are not in `names`, {'done'}, or
--          {'none'}: there is no such database (any more).

local OLD = '{chat}:'
local known = decode(ARGV[1])

-- People and rooms have lists of their names now.
local function list_names()
  local packed = call('HGETALL', at.names)
  for i = 1, #packed, 2 do
    call('ZADD', at.known, 0, decode(packed[i + 1]).name .. '\0' .. packed[i])
  end
  for _, name in ipairs(call('HKEYS', at.rooms)) do
    call('ZADD', at.named, 0, name)
  end
end

if call('TYPE', at.meta_before).ok == 'hash' then
  call('RENAME', at.meta_before, at.meta)
  call('SET', at.meta_before, ACCOUNTS_TEXT)
  if call('HEXISTS', at.meta, 'epoch') == 1 then
    list_names()
    return {'done'}
  end
end
if call('TYPE', OLD .. 'meta').ok ~= 'hash' or call('HEXISTS', at.meta, 'epoch') == 1 then
  return {'none'}
end

local old = {}
do
  local fields = call('HGETALL', OLD .. 'meta')
  for i = 1, #fields, 2 do
    old[fields[i]] = tonumber(fields[i + 1]) or fields[i + 1]
  end
end
local epoch = call('HGET', OLD .. 'meta', 'epoch')

local function number(field)
  return tonumber(old[field] or 0)
end

--- The log. How many messages were said before what is left of it, nobody knows: the lobby counts from
--- there on.

local copied = call('HMGET', at.meta, 'copied', 'said', 'timed')
local last, said, timed = tonumber(copied[1] or 0), tonumber(copied[2] or 0), tonumber(copied[3] or 0)

local entries = call('XRANGE', OLD .. 'log', (last + 1) .. '-0', '+', 'COUNT', known.count)
for _, entry in ipairs(entries) do
  local id, values = entry[1], decode(entry[2][2])
  last = id_of(entry)
  local time, kind, body, text = values[1], 'chat', nil, nil
  if #values == 3 then
    said, text = said + 1, values[3]
    body = encode({last - 1, time, values[2], '', said, 0})
    call('HSET', at.texts_of .. 1, last, text)
    call('XADD', at.tail, id, kind, body, 'r', LOBBY, 't', text)
  else
    kind = values[2]
    body = encode({last - 1, time, '', '', said, values[4], values[3], 'the chat'})
    call('XADD', at.tail, id, kind, body, 'r', LOBBY)
  end
  call('XADD', at.log_of .. 1, id, kind, body)
  if known.keep_ms and time ~= timed then
    call('XADD', at.times, id, 't', time)
    timed = time
  end
end
call('XTRIM', at.tail, 'MINID', '=', math.max(0, last + 1 - known.tail) .. '-0')
call('HSET', at.meta, 'copied', last, 'said', said, 'timed', timed)
if #entries == known.count then
  return {'more'}
end

--- Who has which name.

local records, unknown = {}, {'names'}
do
  local packed = call('HGETALL', OLD .. 'names')
  for i = 1, #packed, 2 do
    local key, record = packed[i], decode(packed[i + 1])
    records[key] = record
    if not known.names[key] or known.names[key][1] ~= record.secret then
      unknown[#unknown + 1] = {key, record.name, record.secret}
    end
  end
end
if #unknown > 1 then
  return unknown
end

for key, record in pairs(records) do
  local _, by, skeletons, scripts = unpack(known.names[key])
  record.by, record.looks = by, {scripts, skeletons}
  call('HSET', at.names, key, encode(record))
  for _, skeleton in ipairs(skeletons) do
    call('SADD', at.scripts_of .. skeleton, scripts)
    call('ZADD', at.looks_of .. scripts .. ':' .. skeleton, record.number, key)
  end
  call('HSET', at.seats_of .. 1, by, encode({0, record.name, said, key}))
  call('ZADD', at.people_of .. 1, 0, record.name .. '\0' .. by)
end

local function move(name, to)
  if call('EXISTS', OLD .. name) == 1 then
    call('RENAME', OLD .. name, to)
  end
end
for _, name in ipairs({'leases', 'gone'}) do
  for _, worker in ipairs(call('ZRANGE', OLD .. name, 0, -1)) do
    move('held:' .. worker, at.held_of .. worker)
    move('lost:' .. worker, at.lost_of .. worker)
    call('DEL', OLD .. 'done:' .. worker)
  end
  move(name, at[name])
end
move('order', at.order)
move('waiting', at.waiting)

--- Who joined and who left, and was not told of. Earlier versions may have left many of one name: those
--- that nobody was told of cancel each other.

local pending = {join = 0, leave = 0}
do
  local joins, notices = {}, {}
  for i, packed in ipairs(call('LRANGE', OLD .. 'notices', 0, -1)) do
    local kind, key = unpack(decode(packed))
    notices[i] = {kind, packed}
    if kind == 'join' then
      joins[key] = i
    elseif joins[key] then
      notices[i], notices[joins[key]], joins[key] = false, false, nil
    end
  end
  for _, notice in ipairs(notices) do
    if notice then
      pending[notice[1]] = pending[notice[1]] + 1
      call('RPUSH', at.notices_of .. 1, notice[2])
    end
  end
end

--- The lobby, as rooms.lua keeps it, and the end.

call('HSET', at.rooms, LOBBY, encode({
  1, 'public', LOBBY, '', '', '', true, last, said, false, 0,
  number('told_join'), number('told_leave'), pending.join, pending.leave,
  number('nameless_join'), number('nameless_leave'), 0,
}))
call('ZADD', at.public, 0, LOBBY)
call('ZADD', at.due, 0, LOBBY)
list_names()
call('SET', at.meta_before, ACCOUNTS_TEXT)
call('HDEL', at.meta, 'copied', 'said')
call(
  'HSET', at.meta, 'epoch', epoch, 'last_id', last, 'last_ms', number('last_ms'),
  'first_id', number('first_id'), 'uncounted', number('messages') - said,
  'number', number('number'), 'room', 1, 'seen', number('seen'), 'steady', number('steady')
)
for _, record in pairs(records) do
  for _, skeleton in ipairs(record.looks[2]) do
    local scripts = record.looks[1]
    call('UNLINK', OLD .. 'scripts:' .. skeleton, OLD .. 'looks:' .. scripts .. ':' .. skeleton)
  end
end
call('UNLINK', OLD .. 'log', OLD .. 'names', OLD .. 'notices', OLD .. 'meta')
call('SET', OLD .. 'meta', 'This chat has rooms now: its keys begin as ' .. at.meta .. ' does')
return {'done'}
