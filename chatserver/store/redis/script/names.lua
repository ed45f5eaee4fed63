--- Names, and who speaks for them: a guest, whose record is its stay, too, or an account in its places.

local records = {} -- those that were looked at; false: free
local lists, first_users = {}, nil -- what claims are answered with, the last one still growing

function names.find(key)
  if records[key] == nil then
    local packed = call('HGET', at.names, key)
    records[key] = packed and decode(packed)
  end
  return records[key]
end

function names.put(key, record)
  records[key] = record
  call('HSET', at.names, key, encode(record))
end

-- The record, and the stay for which the holder speaks.
function names.find_held(key, holder)
  local record = names.find(key)
  if record and record.places then
    for _, place in ipairs(record.places) do
      if place.holder == holder and not place.waiting then
        return record, place
      end
    end
  elseif record and record.holder == holder and not record.waiting then
    return record, record
  end
end

-- All stays by a name, in a list of the caller's own.
function names.stays(record)
  return record.places and {unpack(record.places)} or {record}
end

-- What a stay is called where there is one of each.
local function slot_of(key, record, stay)
  return record.places and key .. '\0' .. stay.number or key
end

-- The key, the record and the stay of a slot.
function names.at(slot)
  local key, number = string.match(slot, '^(.-)%z(.*)$')
  local record = names.find(key or slot)
  for _, stay in ipairs(names.stays(record)) do
    if not number or stay.number == tonumber(number) then
      return key or slot, record, stay
    end
  end
end

-- The moment until which a stay waits for its holder; nil: it has one.
function names.waits_until(key, record, stay)
  local moment = stay.waiting and call('ZSCORE', at.waiting, slot_of(key, record, stay))
    or call('ZSCORE', at.gone, stay.worker)
  return moment and tonumber(moment)
end

--- Who is in the lobby and online, in joining order.

function names.list()
  if not first_users then
    first_users = call('ZRANGE', at.order, 0, rules.max_users - 1)
    lists[#lists + 1] = first_users
  end
  return #lists, #first_users
end

function names.lists()
  return lists
end

-- Returns the place in the order.
function names.into_lobby(name)
  meta.number = meta.number + 1
  call('ZADD', at.order, meta.number, name)
  if first_users and #first_users < rules.max_users then
    first_users[#first_users + 1] = name
  end
  return meta.number
end

-- Returns whether it was there.
function names.out_of_lobby(name)
  first_users = nil
  return call('ZREM', at.order, name) == 1
end

--- Names that look alike; see chatserver/people/lookalikes.py. `looks` is {scripts, skeletons}.

local function remember_looks(key, record, skeletons, scripts)
  record.looks = {scripts, skeletons}
  for _, skeleton in ipairs(skeletons) do
    call('SADD', at.scripts_of .. skeleton, scripts)
    call('ZADD', at.looks_of .. scripts .. ':' .. skeleton, record.number, key)
  end
end

local function forget_looks(key, record)
  local scripts, skeletons = unpack(record.looks)
  for _, skeleton in ipairs(skeletons) do
    call('ZREM', at.looks_of .. scripts .. ':' .. skeleton, key)
    if call('EXISTS', at.looks_of .. scripts .. ':' .. skeleton) == 0 then
      call('SREM', at.scripts_of .. skeleton, scripts)
    end
  end
end

local function share_script(scripts, others)
  for script in string.gmatch(scripts, '%S+') do
    if string.find(' ' .. others .. ' ', ' ' .. script .. ' ', 1, true) then
      return true
    end
  end
  return false
end

-- A name that one with these looks could be taken for.
function names.find_lookalike(skeletons, scripts)
  for _, skeleton in ipairs(skeletons) do
    for _, others in ipairs(call('SMEMBERS', at.scripts_of .. skeleton)) do
      if not share_script(scripts, others) then
        for _, key in ipairs(call('ZRANGE', at.looks_of .. others .. ':' .. skeleton, 0, 0)) do
          return names.find(key)
        end
      end
    end
  end
end

--- Who is known.

-- A name is somebody's who was not known; looks and all.
local function remember(key, record, skeletons, scripts)
  meta.number = meta.number + 1
  record.number = meta.number
  remember_looks(key, record, skeletons, scripts)
  call('ZADD', at.known, 0, record.name .. '\0' .. key)
  return record
end

local function forget(key, record)
  records[key] = false
  call('HDEL', at.names, key)
  call('ZREM', at.known, record.name .. '\0' .. key)
  forget_looks(key, record)
end

local function set_address(key, record, address)
  if record.address == address then
    return
  end
  if (record.address or '') ~= '' then
    call('ZREM', at.addresses, record.address .. '\0' .. key)
  end
  if address ~= '' then
    call('ZADD', at.addresses, 0, address .. '\0' .. key)
  end
  record.address = address
end

-- Keys of the guests who come from an address.
function names.from(address)
  local found = call('ZRANGEBYLEX', at.addresses, '[' .. address .. '\0', '(' .. address .. '\1')
  for i, member in ipairs(found) do
    found[i] = string.match(member, '%z(.*)$')
  end
  return found
end

-- The account of a name, as a token has it; new if there was none. `account` is {subject, identity,
-- role, when it was signed}.
function names.let_in(key, name, skeletons, scripts, account)
  local record = names.find(key)
  if not record then
    local revoked = tonumber(call('HGET', at.revoked, account[2]) or 0)
    record = {name = name, subject = account[1], by = account[2], revoked = revoked, places = {}}
    remember(key, record, skeletons, scripts)
    call('HDEL', at.revoked, record.by)
    call('HINCRBY', at.counts, 'accounts', 1)
  elseif record.name ~= name then
    local order = call('ZSCORE', at.order, record.name)
    if names.out_of_lobby(record.name) then
      call('ZADD', at.order, order, name)
    end
    forget_looks(key, record)
    remember_looks(key, record, skeletons, scripts)
    call('ZREM', at.known, record.name .. '\0' .. key)
    call('ZADD', at.known, 0, name .. '\0' .. key)
    record.name = name
  end
  record.role = account[3]
  return record
end

-- Whether a name is not this account's, or its token, signed at `issued`, good no more; `record` false: it
-- is no account's yet, or any more.
function names.is_refused(record, subject, by, issued)
  local revoked = record and record.revoked or call('HGET', at.revoked, by) or 0
  -- The second itself is over only after its last moment.
  return record and record.subject ~= subject or issued < revoked + 1
end

-- Its tokens stay revoked.
function names.forget_account(key, record)
  forget(key, record)
  if record.revoked > 0 then
    call('HSET', at.revoked, record.by, record.revoked)
  end
  call('HINCRBY', at.counts, 'accounts', -1)
end

--- From one state to the other.

local function hold(key, record, stay, holder)
  stay.holder, stay.worker, stay.waiting = holder, worker, false
  call('ZADD', at.held_of .. worker, stay.number, slot_of(key, record, stay))
  names.put(key, record)
end

-- Tell the holder's worker that its claim is over.
function names.lose(stay, why, text)
  local lost = at.lost_of .. stay.worker
  call('XADD', lost, 'MAXLEN', '~', LOST_KEPT, '*', 'h', stay.holder, 'w', why, 't', text)
end

-- A guest.
function names.take(key, name, secret, by, holder, skeletons, scripts, address)
  local record = {name = name, secret = secret, by = by}
  remember(key, record, skeletons, scripts)
  set_address(key, record, address)
  hold(key, record, record, holder)
  return record
end

-- `address` is a guest's.
function names.take_over(key, record, stay, holder, address)
  local slot = slot_of(key, record, stay)
  if stay.waiting then
    call('ZREM', at.waiting, slot)
  else
    call('ZREM', at.held_of .. stay.worker, slot)
    names.lose(stay, 'taken_over', '')
  end
  if address then
    set_address(key, record, address)
  end
  hold(key, record, stay, holder)
end

-- The place with this secret, and the one that makes room for another one: none, if there is room.
local function look_for_place(key, record, secret)
  local oldest, until_then
  for _, place in ipairs(record.places) do
    if place.secret == secret then
      return place
    end
    local moment = #record.places >= rules.max_places and names.waits_until(key, record, place)
    if moment and (not oldest or moment < until_then) then
      oldest, until_then = place, moment
    end
  end
  return nil, oldest
end

-- Whether an account that comes with this secret may have no place.
function names.are_too_many(key, record, secret)
  local mine, oldest = look_for_place(key, record, secret)
  return #record.places >= rules.max_places and not mine and not oldest
end

-- A place of an account: the one with the secret, or another one.
function names.take_place(key, record, holder, secret, fresh_secret)
  local place, oldest = look_for_place(key, record, secret)
  if place then
    names.take_over(key, record, place, holder)
    return place
  elseif oldest then
    if not oldest.waiting then
      names.lose(oldest, 'taken_over', '')
    end
    names.free(key, record, oldest)
  end
  meta.number = meta.number + 1
  place = {number = meta.number, secret = fresh_secret}
  table.insert(record.places, place)
  call('HINCRBY', at.counts, 'places', 1)
  if #record.places == 1 then
    call('HINCRBY', at.counts, 'online', 1)
  end
  hold(key, record, place, holder)
  return place
end

function names.suspend(key, record, stay)
  local slot = slot_of(key, record, stay)
  stay.waiting = true
  names.put(key, record)
  call('ZREM', at.held_of .. stay.worker, slot)
  call('ZADD', at.waiting, steady + rules.grace_ms, slot)
end

-- End a stay.
function names.free(key, record, stay)
  local slot = slot_of(key, record, stay)
  call('ZREM', at.waiting, slot)
  call('ZREM', at.held_of .. stay.worker, slot)
  if not record.places then
    set_address(key, record, '')
    forget(key, record)
    return
  end
  for i, place in ipairs(record.places) do
    if place == stay then
      table.remove(record.places, i)
      break
    end
  end
  names.put(key, record)
  call('HINCRBY', at.counts, 'places', -1)
  if #record.places == 0 then
    call('HINCRBY', at.counts, 'online', -1)
  end
end
