--- Messages: what is said, and what becomes of it.

local ERASED = 100 -- messages, and rooms, that are erased or looked at in one go

-- Who said a message of the room that this seat may read, if one asks from a seat, and that was not
-- removed; nil: there is none.
function messages.author(room, seat, id)
  local is_hidden = seat and room.kind == 'private' and not room.everything and id <= seat[1]
  if id < meta.first_id or id > meta.last_id or is_hidden then
    return nil
  end
  local entry = call('XRANGE', at.log_of .. room.number, id .. '-0', id .. '-0')[1]
  local is_there = entry and entry[2][1] == 'chat'
    and call('HEXISTS', at.texts_of .. room.number, id) == 1
  return is_there and decode(entry[2][2])[4] or nil
end

-- The answer that a key was given, or a refusal; nil: it was not used. `digest` stands for the
-- key with its scope, `text_digest` for what is said with it.
function messages.answered(digest, text_digest)
  local packed = digest and call('GET', at.sent_of .. digest)
  local sent = packed and decode(packed)
  -- The server's clock, by which it forgets, need not be ours.
  if not sent or now - sent[3] > rules.key_ms then
    return nil
  end
  return sent[1] == text_digest and {sent[2], sent[3]} or {'key'}
end

function messages.say(room, record, text, digest, text_digest, reply_to)
  local receipt = rooms.add(room, 'chat', record.name, record.by, text, reply_to)
  if digest then
    local sent = encode({text_digest, meta.last_id, now})
    call('SET', at.sent_of .. digest, sent, 'PX', rules.key_ms)
  end
  return receipt
end

-- {when, ids of edits} of a message.
local function edited(room, id)
  local packed = call('HGET', at.edited_of .. room.number, id)
  return packed and decode(packed) or {0}
end

function messages.edit(room, record, id, text)
  local receipt = rooms.add(room, 'edit', record.name, record.by, text, id)
  local edits = edited(room, id)
  edits[1], edits[#edits + 1] = now, receipt[1]
  call('HSET', at.texts_of .. room.number, id, text)
  call('HSET', at.edited_of .. room.number, id, encode(edits))
  return receipt
end

-- `reason` is told, if it is more than ''.
function messages.remove(room, record, id, reason)
  local gone = edited(room, id)
  gone[1] = id
  for _, each in ipairs(gone) do
    call('HDEL', at.texts_of .. room.number, each)
    rooms.erase_from_tail(each)
  end
  call('HDEL', at.edited_of .. room.number, id)
  rooms.forget_reactions(room, id)
  return rooms.add(room, 'remove', record.name, record.by, false, id, reason)
end

-- Remove a part of what an identity has said, which `doer` does, and take back its reactions. Returns where
-- to go on: an id, a colon and a room's name; nil: that was all.
function messages.remove_all_of(by, doer, cursor)
  -- Take back the reactions to a message. Returns how many there were, and of how many.
  local function take_back(room, id)
    local taken, of = 0, 0
    for _, kind in ipairs(reactions.kinds(room, id)) do
      local members = call('ZRANGE', at.reacted_of .. id .. ':' .. kind, 0, -1)
      for _, member in ipairs(members) do
        local who, name = string.match(member, '^(%S+) (.*)$')
        if who == by then
          messages.react(room, {by = by, name = name}, id, kind, false)
          taken = taken + 1
        end
      end
      of = of + #members
    end
    return taken, of
  end

  local low, begin = string.match(cursor, '^(%d+):(.*)$')
  local scanned, removed, last = 0, 0, nil
  local from = begin and '[' .. begin or '-'
  local some = call('ZRANGEBYLEX', at.named, from, '+', 'LIMIT', 0, ERASED)
  for _, name in ipairs(some) do
    local room, position = rooms.find(name), meta.first_id
    if name == begin then
      position = math.max(position, math.min(tonumber(low), meta.last_id + 1))
    end
    repeat
      local entries = call(
        'XRANGE', at.log_of .. room.number, position .. '-0', '+', 'COUNT', ERASED
      )
      for _, entry in ipairs(entries) do
        local id = id_of(entry)
        position = id + 1
        local author = entry[2][1] == 'chat' and messages.author(room, nil, id)
        if author == by then
          messages.remove(room, doer, id, '')
          removed = removed + 1
        elseif author then
          local taken, of = take_back(room, id)
          removed, scanned = removed + taken, scanned + of
        end
        scanned = scanned + 1
        if removed >= ERASED or scanned >= 10 * ERASED then
          return position .. ':' .. name
        end
      end
    until #entries < ERASED
    last = name
  end
  return #some == ERASED and meta.last_id + 1 .. ':' .. last or nil
end

function messages.react(room, record, id, kind, on)
  local set, member = at.reacted_of .. id .. ':' .. kind, record.by .. ' ' .. record.name
  local is_there = call('ZSCORE', set, member) and true or false
  if is_there == on then
    return true
  end
  local kinds, position = reactions.kinds(room, id), nil
  for i, other in ipairs(kinds) do
    position = other == kind and i or position
  end
  if on and not position and #kinds >= rules.max_reactions then
    return {'reactions'}
  end
  meta.reaction = meta.reaction + 1
  if on then
    call('ZADD', set, meta.reaction, member)
    kinds[position or #kinds + 1] = kind
  else
    call('ZREM', set, member)
    if call('EXISTS', set) == 0 then
      table.remove(kinds, position)
    end
  end
  if #kinds > 0 then
    call('HSET', at.reactions_of .. room.number, id, encode(kinds))
  else
    call('HDEL', at.reactions_of .. room.number, id)
  end
  call('ZADD', at.reacting_of .. room.number, 'NX', meta.reaction, id)
  telling.expect(room)
  return true
end

-- Move the mark of what is read up to this id, never back.
function messages.mark_read(room, by, id)
  local seat, read = seats.find(room, by), room.said
  if id < room.last_id then
    local log = at.log_of .. room.number
    local entry = call('XREVRANGE', log, math.max(0, id) .. '-0', '-', 'COUNT', 1)[1]
    read = entry and decode(entry[2][2])[5] or 0
  end
  if read > seat[3] then
    seat[3] = read
    seats.put(room, by, seat)
  end
end
