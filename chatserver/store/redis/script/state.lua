-- One batch of operations of one worker: all of it takes effect, in order, and nothing in between.
-- The rules are those of the package chatserver.store. The files of this directory are joined to one
-- script; each is about what its name says, and what others use of it is in a table of that name,
-- since Lua allows 200 locals.
--
-- KEYS[1]  the tail. What else is used has the same prefix, whose hash tag keeps it on one node of a
--          cluster.
-- ARGV     MessagePack: [1] the numbers of the rules, [2] who calls and what it knows,
--          [3] the operations, each an array that begins with its name.
-- Returns  MessagePack: [1] {reset, epoch, last_id, last_ms}, and unless `reset`
--          [2] {results, lists of users}, [3] what the operations `names` list.
--
-- What is kept, all times in milliseconds, steady ones but for those of events, of passes and of what
-- is `sent`:
--
--   tail           stream: n-0, n = 1, 2, 3, …, the newest entries of the log, of all rooms: their
--                  type with their body (see rooms.add), `r` their room, `t` their text
--   erased         sorted set: `id:time` by id, of entries of the tail whose text was to be erased
--   times          stream: n-0 with the time of the events from that one on; with `keep_ms` only
--   meta           hash: see FIELDS
--   names          hash: key of the name -> {number, name, secret, by, holder, worker, waiting, looks}
--   scripts:<skeleton>           set: the scripts, as a text, of names with this skeleton
--   looks:<scripts>:<skeleton>   sorted set: keys of names that look so, by number
--   order          sorted set: name in the lobby, by its number in the joining order
--   waiting        sorted set: key of a suspended name, by the moment until which it waits
--   sent:<digest>  {digest of the text, id, time}, for an idempotency key; where the version before
--                  rooms had it
--   leases         sorted set: worker, by the end of its lease
--   gone           sorted set: worker whose lease is over, by the end of the grace
--   held:<worker>  sorted set: keys of the names that the worker's connections hold, by number
--   lost:<worker>  stream: `h`, holders of this worker that lost their name to another one; or
--                  nobody (''), to wake its follower
--   done:<worker>  hash: `sequence` of the worker's last batch, and its `reply`
--
--   rooms          hash: name -> see rooms.FIELDS, an array
--   public         sorted set of names, all with 0
--   direct         hash: two identities -> the name of their room
--   due            sorted set: name of a room that has something to tell, by the moment
--   passes         hash: digest -> {room, until, uses or false}
--   made           hash: identity -> how many rooms it has made that are there
--   inside:<by>    sorted set of the names of the rooms beside the lobby in which the identity is, all with 0
--   blocks:<by>    set: keys of names that it blocks
--   ending         sorted set: numbers of rooms that have ended, by the moment from which they are erased
--
-- and of each room, by its number, which is never given twice:
--
--   log:<n>        stream: its events, as in the tail but for `r` and `t`
--   texts:<n>      hash: id of a message or an edit -> its text; what is not here was removed
--   edited:<n>     hash: id of a message -> {when, ids of its edits}
--   seats:<n>      hash: identity -> {number, name, messages that are read, key of the name}
--   people:<n>     sorted set: name, \0, identity; all with 0
--   seated:<n>     sorted set: identity, by the number of its seat; of private ones
--   notices:<n>    list, in order: {kind, key, name}, not told yet; of one name a leave, a join or both
--   reactions:<n>  hash: id of a message -> kinds of its reactions, in the order in which they came
--   reacted:<id>:<kind>  sorted set: identity, a space, name; in the order in which they came
--   reacting:<n>   sorted set: ids of messages whose reactions changed and are not told yet
--   passes:<n>     set: digests
--
-- A worker whose lease is over has all its names waiting at once, without a change to any of them;
-- if it comes back within the grace, it has them again.

local call, encode, decode = redis.call, cmsgpack.pack, cmsgpack.unpack

local at = {} -- where things are
do
  local prefix = string.sub(KEYS[1], 1, -5)
  at.once = {
    'tail', 'erased', 'times', 'meta', 'names', 'order', 'waiting', 'leases', 'gone',
    'rooms', 'public', 'direct', 'due', 'passes', 'made', 'ending',
  }
  for _, name in ipairs(at.once) do
    at[name] = prefix .. name
  end
  at.of_rooms = {
    'log', 'texts', 'edited', 'seats', 'people', 'seated', 'notices', 'reactions', 'reacting',
    'passes',
  }
  local of_others = {'scripts', 'looks', 'held', 'lost', 'done', 'inside', 'blocks', 'reacted'}
  for _, names in ipairs({at.of_rooms, of_others}) do
    for _, name in ipairs(names) do
      at[name .. '_of'] = prefix .. name .. ':'
    end
  end
  at.sent_of = '{chat}:sent:'
end

local FIELDS = {
  'last_id', 'last_ms', 'first_id', -- the newest event with its time, and the oldest
  'uncounted', -- messages of the lobby since the log began, beyond those that it counts
  'number', -- that was given last in an order of joining
  'room', -- the number of the room that was made last
  'reaction', -- of the reaction that was added last
  'timed', -- the newest time in `times`
  'seen', -- when a worker called last, on the server's own clock
  'steady', -- what the clock showed then that only passes
}
local LOBBY = 'lobby'

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

local meta = {}
do
  local stored = call('HMGET', at.meta, 'epoch', unpack(FIELDS))
  meta.epoch = stored[1]
  for i, field in ipairs(FIELDS) do
    meta[field] = tonumber(stored[i + 1] or 0)
  end
end

local function save_meta()
  local values = {'epoch', meta.epoch}
  for _, field in ipairs(FIELDS) do
    values[#values + 1] = field
    values[#values + 1] = meta[field]
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
if is_new then
  -- What there may be of another log whose `meta` is gone is not ours.
  for _, packed in ipairs(call('HVALS', at.rooms)) do
    for _, name in ipairs(at.of_rooms) do
      call('UNLINK', at[name .. '_of'] .. decode(packed)[1])
    end
  end
  for _, name in ipairs(at.once) do
    call('UNLINK', at[name])
  end
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
local known = call('ZSCORE', at.leases, worker) or call('ZSCORE', at.gone, worker)
local reset = caller.epoch ~= '' and (caller.epoch ~= meta.epoch or not known)

-- This comes first of all that is written: a server without memory, or a replica, refuses it, and
-- then nothing is.
call('ZADD', at.leases, steady + rules.lease_ms, worker)
call('ZREM', at.gone, worker)

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
