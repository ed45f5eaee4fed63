--- Who comes, and goes: operations on names.

local by_nobody, by_holder, by_stay =
  operations.by_nobody, operations.by_holder, operations.by_stay

-- Why somebody may not come in; nil: it may.
local function is_kept_out(by, address, lobby)
  local refusal = sanctions.refusal(rooms.find(EVERYWHERE), 'ban', by, address)
  if not refusal and lobby and not seats.find(rooms.lobby(), by) then
    refusal = sanctions.refusal(rooms.lobby(), 'ban', by, address)
  end
  return refusal
end

-- A guest's; returns the record and its stay, or nil and a refusal.
local function claim_name(
  key, name, holder, secret, fresh_secret, fresh_by, lobby, skeletons, scripts, address
)
  local record = names.find(key)
  local is_account = record and record.places
  local is_mine = record and not is_account and record.secret == secret
  local refusal = (is_mine or is_account or not record)
    and is_kept_out(is_mine and record.by or '', address, lobby)
  local lookalike = not record and names.find_lookalike(skeletons, scripts)
  if refusal then
    return nil, refusal
  elseif lookalike then
    return nil, {'alike', lookalike.name}
  elseif not record then
    record = names.take(
      key, name, fresh_secret, fresh_by, holder, skeletons, scripts, address
    )
  elseif is_mine then
    names.take_over(key, record, record, holder, address)
  else
    local waits = not is_account and names.waits_until(key, record, record)
    return nil, {'taken', record.name, waits and waits - steady}
  end
  return record, record
end

-- An account's, likewise. `account` is {subject, identity, role, when its token was signed}.
local function claim_place(
  key, name, holder, secret, fresh_secret, lobby, skeletons, scripts, account
)
  local record = names.find(key)
  local guest = record and not record.places and record
  local known = record and not guest and record
  if names.is_refused(known, account[1], account[2], account[4]) then
    return nil, {'unauthorized'}
  end
  local refusal = is_kept_out(account[2], '', lobby)
  if refusal then
    return nil, refusal
  elseif known and names.are_too_many(key, record, secret) then
    return nil, {'places'}
  elseif guest then
    if not guest.waiting then
      names.lose(guest, 'account_came', 'An account has the name ' .. guest.name)
    end
    time.end_stay(key, guest, guest)
  end
  record = names.let_in(key, name, skeletons, scripts, account)
  local is_new_here = #record.places == 0
  local place = names.take_place(key, record, holder, secret, fresh_secret)
  if is_new_here then
    seats.come_online(key, record)
  end
  return record, place
end

-- `secret` is what the caller shows, or false; `fresh_secret` that of a new stay, `fresh_by` its
-- identity if it is a guest's; `account` is false then.
function by_nobody.claim(
  key, name, holder, secret, fresh_secret, fresh_by, lobby, skeletons, scripts, address, account
)
  local record, stay
  if account then
    record, stay = claim_place(
      key, name, holder, secret, fresh_secret, lobby, skeletons, scripts, account
    )
  else
    record, stay = claim_name(
      key, name, holder, secret, fresh_secret, fresh_by, lobby, skeletons, scripts, address
    )
  end
  if not record then
    return stay
  end
  if lobby and not seats.find(rooms.lobby(), record.by) then
    seats.sit(rooms.lobby(), key, record, meta.last_id)
    telling.notify(rooms.lobby(), 'join', key, record.name, record.by)
  end
  local list, length = names.list()
  local online = call('ZCARD', at.order)
  return {
    record.name, stay.secret, record.by, meta.first_id, meta.last_id, online, list, length,
    seats.list(record.by),
  }
end

-- Nobody has heard the answer to a claim that was to give this secret to a new stay.
function by_nobody.abandon(key, holder, fresh_secret)
  local record, stay = names.find_held(key, holder)
  if record and stay.secret == fresh_secret then
    time.end_stay(key, record, stay)
  elseif record then
    names.suspend(key, record, stay)
  end
  return true
end

function by_stay.release(key, record, stay)
  time.end_stay(key, record, stay)
  return true
end

function by_stay.suspend(key, record, stay)
  names.suspend(key, record, stay)
  return true
end

-- Go on with the next token.
function by_holder.renew(key, record, issued, role)
  if not record.places or names.is_refused(record, record.subject, record.by, issued) then
    return {'unauthorized'}
  end
  record.role = role
  names.put(key, record)
  return true
end
