-- One batch of operations of one worker: all of it takes effect, in order, and nothing in between.
-- The rules are those of the package chatserver.store. The files of this directory are joined to one
-- script (scripts.py); each is about what its name says, and what others use of it is in a table of that
-- name, which is there already.
--
-- KEYS[1]  the tail, see keys.lua.
-- ARGV     MessagePack: [1] the numbers of the rules, [2] who calls and what it knows,
--          [3] the operations, each an array that begins with its name.
-- Returns  MessagePack: [1] {reset, epoch, last_id, last_ms}, and unless `reset`
--          [2] {results, lists of users}.

local FIELDS = {
  'last_id', 'last_ms', 'first_id', -- the newest event with its time, and the oldest
  'uncounted', -- messages of the lobby since the log began, beyond those that it counts
  'number', -- that was given last in an order of joining
  'room', -- the number of the room that was made last
  'reaction', -- of the reaction that was added last
  'sanction', -- of the sanction that was made last
  'timed', -- the newest time in `times`
  'seen', -- when a worker called last, on the server's own clock
  'steady', -- what the clock showed then that only passes
}
local OF_ROOMS = { -- keys that each room has
  'log_of', 'texts_of', 'edited_of', 'seats_of', 'people_of', 'seated_of', 'notices_of',
  'reactions_of', 'reacting_of', 'passes_of', 'sanctions_of', 'against_of',
}

local FREED = 500 -- seats that end with names that become free in one settling, so that nobody waits
-- long behind it, and rooms that are looked at
local SCANNED = 64 -- events whose age is looked at in one go
local PUSHED = 1000 -- values in one call; a Lua stack holds about 8000
local LOST_KEPT = 10000 -- holders that a follower may be behind

local rules, caller = decode(ARGV[1]), decode(ARGV[2])
local worker = caller.worker

local clock = call('TIME')
local real = clock[1] * 1000 + math.floor(clock[2] / 1000)
local now = caller.now or real -- dates events

--- The state of the log.

local meta, stored = {}, {}
do
  local found = call('HMGET', at.meta, 'epoch', unpack(FIELDS))
  meta.epoch = found[1]
  for i, field in ipairs(FIELDS) do
    stored[field] = tonumber(found[i + 1])
    meta[field] = stored[field] or 0
  end
end

-- Store what has changed.
local function save_meta()
  local values = {'epoch', meta.epoch}
  for _, field in ipairs(FIELDS) do
    if meta[field] ~= stored[field] then
      values[#values + 1] = field
      values[#values + 1] = meta[field]
    end
  end
  call('HSET', at.meta, unpack(values))
end

-- The oldest entry that the tail may have.
local function tail_begin()
  return math.max(meta.first_id, meta.last_id + 1 - rules.tail)
end

-- Whether the caller knows of an event that is not in the log: a server has come back with less
-- than it had, or another one took its place that had not got everything.
local function end_is_lost()
  local id = caller.known_id
  if id >= meta.last_id then
    return id > meta.last_id or caller.known_ms ~= meta.last_ms
  end
  if id < tail_begin() then
    return false
  end
  local found = call('XRANGE', at.tail, id .. '-0', id .. '-0')[1]
  if found then
    return decode(found[2][2])[2] ~= caller.known_ms
  end
  return call('ZRANGEBYSCORE', at.erased, id, id)[1] ~= id .. ':' .. caller.known_ms
end

local is_new = not meta.epoch
if is_new and call('TYPE', at.meta_before).ok == 'hash' then
  return redis.error_reply('EARLIER a log of before accounts; start again, which takes it over')
elseif is_new then
  -- What there may be of another log, whose `meta` is gone, is not ours.
  for _, packed in ipairs(call('HVALS', at.rooms)) do
    for _, keys in ipairs(OF_ROOMS) do
      call('UNLINK', at[keys] .. decode(packed)[1])
    end
  end
  for _, key in pairs(at) do
    if string.sub(key, -1) ~= ':' then
      call('UNLINK', key)
    end
  end
  call('SET', at.meta_before, ACCOUNTS_TEXT)
  meta.epoch, meta.first_id, meta.seen = caller.fresh_epoch, 1, real
elseif caller.epoch == meta.epoch and end_is_lost() then
  meta.epoch = caller.fresh_epoch
end

--- Time, as far as it is waited for.

-- The server's own clock may be set, so only its steps from call to call are added up: workers call
-- several times a second. A longer step, or one back, is no time that passed for us: either somebody
-- has set the clock, or nobody called.
local step = real - meta.seen
local stood_still = math.abs(step) > rules.standstill_ms
if meta.steady == 0 then
  meta.steady = meta.seen
end
if step > 0 and not stood_still then
  meta.steady = meta.steady + step
end
meta.seen = real
local steady = caller.steady or meta.steady

--- Workers.

-- While nobody called, nobody could renew a lease or come back: everyone gets the whole time again.
if stood_still then
  local function restart(set, moment)
    for _, member in ipairs(call('ZRANGE', set, 0, -1)) do
      call('ZADD', set, moment, member)
    end
  end
  restart(at.leases, steady + rules.lease_ms)
  restart(at.gone, steady + rules.grace_ms)
  restart(at.waiting, steady + rules.grace_ms)
end

-- The caller is to begin anew if the log did, and if its names were freed while it was away.
local is_leased = call('ZSCORE', at.leases, worker)
local is_known = is_leased or call('ZSCORE', at.gone, worker)
local reset = caller.epoch ~= '' and (caller.epoch ~= meta.epoch or not is_known)

-- This comes first of all that is written: a server without memory, or a replica, refuses it, and
-- then nothing is.
call('ZADD', at.leases, steady + rules.lease_ms, worker)
if not is_leased then
  call('ZREM', at.gone, worker)
end

if reset then
  -- Nobody: this wakes the worker's follower, whose it is to tell of the reset.
  call('XADD', at.lost_of .. worker, '*', 'h', '')
end

do
  local ended = call('ZRANGEBYSCORE', at.leases, '-inf', steady, 'WITHSCORES')
  for i = 1, #ended, 2 do
    call('ZREM', at.leases, ended[i])
    call('ZADD', at.gone, ended[i + 1] + rules.grace_ms, ended[i])
  end
end
