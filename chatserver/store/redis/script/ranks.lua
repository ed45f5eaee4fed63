--- Who may moderate. `role` is that of the token with which somebody has come.

-- Where one stands in a room among those who may moderate it: 0 is nobody of them.
function ranks.of(room, by, role)
  if role == 'admin' then
    return 2
  elseif room.kind == 'private' then
    return room.owner == by and 1 or 0
  end
  return room.kind == 'public' and role == 'moderator' and 1 or 0
end

-- The room that somebody moderates, or nil and why not. Who may not speak there moderates nothing, but
-- for admins.
function ranks.moderated(record, name, role)
  if name == EVERYWHERE then
    if role ~= 'admin' then
      return nil, {'not an admin'}
    end
    return rooms.everywhere()
  end
  local room = rooms.find(name)
  local is_seen = room and (
    room.kind == 'public' or seats.find(room, record.by)
    or room.kind == 'private' and role == 'admin'
  )
  if not is_seen then
    return nil, {'no room'}
  elseif room.kind == 'direct' or ranks.of(room, record.by, role) == 0 then
    return nil, {'not a moderator'}
  end
  local address = record.address or ''
  local refusal = role ~= 'admin' and (
    sanctions.refusal(room, 'ban', record.by, address)
    or sanctions.refusal(room, 'mute', record.by, address)
  )
  return not refusal and room or nil, refusal
end

-- Why nothing may be done to somebody in a room; nil: it may.
function ranks.refusal(room, record, role, other)
  local theirs = ranks.of(room, other.by, other.role or 'member')
  if other.by == record.by or theirs >= ranks.of(room, record.by, role) then
    return {'above', other.name}
  end
end
