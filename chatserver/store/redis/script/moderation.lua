--- What moderators and admins do. What is told of a sanction behind the name comes with the operation.

local by_moderator, by_admin -- functions that take: record, the room, role, …; record, …

-- Few batches moderate, and whatever a script makes, each batch waits for: it is made when it is asked for.
local function make()
  by_moderator, by_admin = {}, {}
  sanctions.make()

  local function tell(record, room, text)
    rooms.add(room, 'notice', record.name, record.by, false, record.name .. text, {})
  end

  -- End all stays by a name; returns how many there were.
  local function end_stays(key, record, why, text)
    local stays = names.stays(record)
    for _, stay in ipairs(stays) do
      if not stay.waiting then
        names.lose(stay, why, text)
      end
      time.end_stay(key, record, stay)
    end
    return #stays
  end

  -- Whoever has a name, or nil and a refusal.
  local function known(key)
    local record = names.find(key)
    return record or nil, {'nobody known', key}
  end

  local function known_account(key)
    local record = names.find(key)
    return record and record.places and record, {'nobody known', key}
  end

  -- …who may do less in a room.
  local function below(record, room, role, key)
    local other, refusal = known(key)
    refusal = not other and refusal or other and ranks.refusal(room, record, role, other)
    return not refusal and other or nil, refusal
  end

  -- From where guests share what is done to somebody; '': from nowhere, as if it came from where the one
  -- comes from who does it.
  local function address_of(other, record)
    return other.address ~= record.address and other.address or ''
  end

  -- Send away all guests from an address.
  local function send_away(address, how)
    for _, key in ipairs(address ~= '' and names.from(address) or {}) do
      end_stays(key, names.find(key), 'sent_away', 'You were banned' .. how)
    end
  end

  -- Let somebody be muted or banned, `...`: for how long, and why; returns the sanction's number, or a
  -- refusal.
  local function sanction(record, room, role, kind, other, ...)
    local address, rank = address_of(other, record), ranks.of(room, record.by, role)
    return sanctions.add(room, kind, other.by, address, other.name, record.name, rank, ...)
  end

  --- Moderating.

  function by_moderator.may_moderate()
    return true
  end

  function by_moderator.strike(record, room, role, id, reason)
    if room.kind == 'everywhere' then
      return {'no room'}
    elseif not messages.author(room, nil, id) then
      return {'no message'}
    end
    return messages.remove(room, record, id, reason)
  end

  function by_moderator.mute(record, room, role, key, lasting, reason, how)
    if room.kind == 'everywhere' then
      return {'no room'}
    end
    local other, refusal = below(record, room, role, key)
    if not other then
      return refusal
    end
    local number = sanction(record, room, role, 'mute', other, lasting, reason)
    if type(number) == 'number' then
      tell(record, room, ' muted ' .. other.name .. how)
    end
    return number
  end

  function by_moderator.kick(record, room, role, key, how)
    if room.kind == 'everywhere' then
      return {'no room'}
    end
    local other = names.find(key)
    local refusal = seats.missing(room, other) or ranks.refusal(room, record, role, other)
    if refusal then
      return refusal
    end
    seats.send_out(room, key, other, record, record.name .. ' sent ' .. other.name .. ' out' .. how)
    return true
  end

  function by_moderator.ban(record, room, role, key, lasting, reason, how)
    local other, refusal = below(record, room, role, key)
    if not other then
      return refusal
    end
    local number = sanction(record, room, role, 'ban', other, lasting, reason)
    if type(number) ~= 'number' then
      return number
    end
    local address = address_of(other, record)
    if room.kind == 'everywhere' then
      end_stays(key, other, 'sent_away', 'You were banned' .. how)
      send_away(address, how)
      return number
    end
    local function send_out(which, one)
      if seats.find(room, one.by) then
        seats.send_out(room, which, one, record, record.name .. ' banned ' .. one.name .. how)
      end
    end
    if not seats.find(room, other.by) then
      tell(record, room, ' banned ' .. other.name .. how)
    end
    send_out(key, other)
    for _, which in ipairs(address ~= '' and names.from(address) or {}) do
      send_out(which, names.find(which))
    end
    return number
  end

  function by_moderator.lift(record, room, role, number)
    local found, refusal = sanctions.get(room, number, ranks.of(room, record.by, role))
    if not found then
      return refusal
    end
    sanctions.remove(room, number)
    if room.kind ~= 'everywhere' then
      tell(record, room, ' lifted the ' .. found[1] .. ' of ' .. found[5])
    end
    return true
  end

  function by_moderator.sanctions(record, room)
    return {sanctions.list(room)}
  end

  --- Administering.

  function by_admin.ban_address(record, address, shown, lasting, reason, how)
    local room = rooms.everywhere()
    local rank = ranks.of(room, record.by, 'admin')
    local number = sanctions.add(
      room, 'ban', '', address, shown, record.name, rank, lasting, reason
    )
    if type(number) == 'number' then
      send_away(address, how)
    end
    return number
  end

  function by_admin.disconnect(record, key, how)
    local other, refusal = known(key)
    return other and end_stays(key, other, 'sent_away', 'You were disconnected' .. how) or refusal
  end

  local function revoke(key, account)
    account.revoked = math.floor(now / 1000)
    names.put(key, account)
  end

  function by_admin.revoke(record, key)
    local account, refusal = known_account(key)
    if not account then
      return refusal
    end
    revoke(key, account)
    return end_stays(key, account, 'revoked', 'Your tokens were revoked')
  end

  function by_admin.announce(record, text)
    local room = rooms.everywhere()
    room.last_id = 0 -- nothing there comes after anything
    return rooms.add(room, 'notice', record.name, record.by, false, text, {})
  end

  function by_admin.close_any(record, name)
    local room = rooms.find(name)
    if not room or room.kind == 'direct' or room.kind == 'everywhere' then
      return {'no room'}
    elseif name == LOBBY then
      return {'not an admin'}
    end
    seats.close(room, record.name, record.by, record.name .. ' closed the room')
    return true
  end

  -- Returns where to go on; '': all is done.
  function by_admin.erase(record, key, cursor)
    local account, refusal = known_account(key)
    if not account then
      return refusal
    elseif account.by == record.by then
      return {'above', account.name}
    elseif cursor == '' then
      revoke(key, account)
    end
    -- At each step: nobody may have come in between.
    end_stays(key, account, 'sent_away', 'Your account was erased')
    local further = messages.remove_all_of(account.by, record, cursor)
    if not further then
      seats.end_stay(key, account)
      names.forget_account(key, account)
    end
    return further or ''
  end
end

function moderation.run(name, record, ...)
  if not by_admin then
    make()
  end
  if by_admin[name] then
    return (...) == 'admin' and by_admin[name](record, select(2, ...)) or {'not an admin'}
  end
  local room, refusal = ranks.moderated(record, ...)
  return refusal or by_moderator[name](record, room, select(2, ...))
end
