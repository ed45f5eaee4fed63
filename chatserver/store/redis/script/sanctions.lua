--- Sanctions: who is muted or banned, and where. A sanction is
--- {kind, room's name, identity, digest of an address, name, author, reason, time, until or false}; the rank
--- of its author stands beside it, see ranks.lua.

local function load(number)
  local packed = call('HGET', at.sanctions, number)
  return packed and decode(packed)
end

local function holds(sanction)
  return not sanction[9] or now < sanction[9]
end

-- Numbers of those of one kind against an identity, or guests from an address.
local function against(room, kind, aim)
  local packed = call('HGET', at.against_of .. room.number, kind .. ' ' .. aim)
  return packed and decode(packed) or {}
end

local function put_against(room, kind, aim, numbers)
  if #numbers > 0 then
    call('HSET', at.against_of .. room.number, kind .. ' ' .. aim, encode(numbers))
  else
    call('HDEL', at.against_of .. room.number, kind .. ' ' .. aim)
  end
end

-- Why somebody may not do what a sanction of this kind is about, {kind, how long yet or false,
-- reason}; nil: it may. `room` may be none.
function sanctions.refusal(room, kind, by, address)
  if not room or room.sanctioned == 0 then
    return nil
  end
  for _, aim in ipairs({by, address}) do
    for _, number in ipairs(aim ~= '' and against(room, kind, aim) or {}) do
      local found = load(number)
      if holds(found) then
        return {kind, found[9] and found[9] - now, found[7]}
      end
    end
  end
end

function sanctions.remove(room, number)
  local kind, _, by, address = unpack(load(number))
  for _, aim in ipairs({by, address}) do
    local left = {}
    for _, other in ipairs(aim ~= '' and against(room, kind, aim) or {}) do
      if other ~= number then
        left[#left + 1] = other
      end
    end
    put_against(room, kind, aim, left)
  end
  call('SREM', at.sanctions_of .. room.number, number)
  call('HDEL', at.sanctions, number)
  call('HDEL', at.ranks, number)
  call('ZREM', at.lifting, number)
  room.sanctioned, room.changed = room.sanctioned - 1, true
end

-- The room is no more; what is its own goes with it.
function sanctions.end_room(room)
  for _, number in ipairs(call('SMEMBERS', at.sanctions_of .. room.number)) do
    call('HDEL', at.sanctions, number)
    call('HDEL', at.ranks, number)
    call('ZREM', at.lifting, number)
  end
end

-- Some of those whose time is over: {number, room's name} of each.
function sanctions.ended()
  local list = {}
  for i, number in ipairs(call('ZRANGEBYSCORE', at.lifting, '-inf', now, 'LIMIT', 0, FREED)) do
    list[i] = {tonumber(number), load(number)[2]}
  end
  return list
end

--- What moderators do with them: made, as moderation.lua is, when it is asked for.

function sanctions.make()
  -- Where the author stood.
  local function rank_of(number)
    return tonumber(call('HGET', at.ranks, number) or 1)
  end

  -- One in force in a room that somebody of this rank may change, or nil and why not.
  function sanctions.get(room, number, rank)
    local found = call('SISMEMBER', at.sanctions_of .. room.number, number) == 1 and load(number)
    if not found or not holds(found) then
      return nil, {'no sanction'}
    elseif rank < rank_of(number) then
      return nil, {'decided above'}
    end
    return found
  end

  -- Those in force in a room, by number: {number, …, rank}.
  function sanctions.list(room)
    local numbers, list = {}, {}
    for i, number in ipairs(call('SMEMBERS', at.sanctions_of .. room.number)) do
      numbers[i] = tonumber(number)
    end
    table.sort(numbers)
    for _, number in ipairs(numbers) do
      local found = load(number)
      if holds(found) then
        found[10] = rank_of(number)
        list[#list + 1] = {number, unpack(found)}
      end
    end
    return list
  end

  -- Make one, in place of the one of this kind against the same. `lasting` false: for good. Returns its
  -- number, or a refusal.
  function sanctions.add(room, kind, by, address, name, author, rank, lasting, reason)
    local old
    for _, number in ipairs(against(room, kind, by ~= '' and by or address)) do
      old = load(number)[3] == by and number or old
    end
    if old and holds(load(old)) and rank < rank_of(old) then
      return {'decided above'}
    elseif old then
      sanctions.remove(room, old)
    elseif room.sanctioned >= rules.max_sanctions then
      return {'sanctions'}
    end
    meta.sanction = meta.sanction + 1
    local number, ends = meta.sanction, lasting and now + lasting
    local made = {kind, room.name, by, address, name, author, reason, now, ends}
    call('HSET', at.sanctions, number, encode(made))
    call('HSET', at.ranks, number, rank)
    call('SADD', at.sanctions_of .. room.number, number)
    for _, aim in ipairs({by, address}) do
      if aim ~= '' then
        local numbers = against(room, kind, aim)
        numbers[#numbers + 1] = number
        put_against(room, kind, aim, numbers)
      end
    end
    if ends then
      call('ZADD', at.lifting, ends, number)
    end
    room.sanctioned, room.changed = room.sanctioned + 1, true
    return number
  end
end
