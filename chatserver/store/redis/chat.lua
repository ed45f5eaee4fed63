-- One batch of operations of one worker: all of it takes effect, in order, and nothing in between.
-- The rules are those of the package chatserver.store.
--
-- KEYS[1]  the log. What else is used has the same prefix, whose hash tag keeps it on one node of a
--          cluster.
-- ARGV     MessagePack: [1] the numbers of the rules, [2] who calls and what it knows,
--          [3] the operations, each an array that begins with its name.
-- Returns  MessagePack: [1] {reset, epoch, last_id, last_ms}, and unless `reset`
--          [2] {results, lists of users}, [3] what the operations `names` list.
--
-- What is kept, all times in milliseconds, steady ones but for those of events and of what is `sent`:
--
--   log            stream: n-0, n = 1, 2, 3, …, each with one field, `e`, in MessagePack:
--                  {time, name, text}, or {time, kind, count, the first names}
--   meta           hash: see FIELDS
--   names          hash: key of the name -> {number, name, secret, holder, worker, waiting, looks}
--   scripts:<skeleton>           set: the scripts, as a text, of names with this skeleton
--   looks:<scripts>:<skeleton>   sorted set: keys of names that look so, by number
--   order          sorted set: name, by its number in the joining order
--   waiting        sorted set: key of a suspended name, by the moment until which it waits
--   notices        list, in order: {kind, key, name}, not told yet; of one name a leave, a join or both
--   sent:<digest>  {digest of the text, id, time}, for an idempotency key
--   leases         sorted set: worker, by the end of its lease
--   gone           sorted set: worker whose lease is over, by the end of the grace
--   held:<worker>  sorted set: keys of the names that the worker's connections hold, by number
--   lost:<worker>  stream: `h`, holders of this worker that lost their name to another one; or
--                  nobody (''), to wake its follower
--   done:<worker>  hash: `sequence` of the worker's last batch, and its `reply`
--
-- A worker whose lease is over has all its names waiting at once, without a change to any of them;
-- if it comes back within the grace, it has them again.

local call, encode, decode = redis.call, cmsgpack.pack, cmsgpack.unpack

local LOG = KEYS[1]
local PREFIX = string.sub(LOG, 1, -4)
local META, NAMES, ORDER = PREFIX .. 'meta', PREFIX .. 'names', PREFIX .. 'order'
local WAITING, NOTICES = PREFIX .. 'waiting', PREFIX .. 'notices'
local LEASES, GONE = PREFIX .. 'leases', PREFIX .. 'gone'
local LOOKS, SCRIPTS = PREFIX .. 'looks:', PREFIX .. 'scripts:'
local SENT, HELD = PREFIX .. 'sent:', PREFIX .. 'held:'
local LOST, DONE = PREFIX .. 'lost:', PREFIX .. 'done:'

local FIELDS = {
  'last_id', 'last_ms', 'first_id', -- the newest event with its time, and the oldest
  'messages', -- chat messages since the log began
  'number', -- of the name that joined last
  'told_join', 'told_leave', -- when a notice of the kind was told
  'pending_join', 'pending_leave', -- how many wait in `notices` to be told
  'nameless_join', 'nameless_leave', -- how many more do, whose names are not kept
  'seen', -- when a worker called last, on the server's own clock
  'steady', -- what the clock showed then that only passes
}
local KINDS = {'join', 'leave'}

local FREED = 500 -- names that become free in one settling, so that nobody waits long behind it
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
  local stored = call('HMGET', META, 'epoch', unpack(FIELDS))
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
  call('HSET', META, unpack(values))
end

local function time_of(entry)
  return decode(entry[2][2])[1]
end

-- Whether the caller knows of an event that is not in the log: a server has come back with less
-- than it had, or another one took its place that had not got everything.
local function end_is_lost()
  local id = caller.known_id
  if id >= meta.last_id then
    return id > meta.last_id or caller.known_ms ~= meta.last_ms
  end
  if id < meta.first_id then
    return false
  end
  local found = call('XRANGE', LOG, id .. '-0', id .. '-0')[1]
  return not found or time_of(found) ~= caller.known_ms
end

if not meta.epoch then
  call('DEL', LOG, NAMES, ORDER, WAITING, NOTICES, LEASES, GONE)
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
  meta.steady = meta.seen -- a new log, or one of a version that measured all by the server's clock
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
  restart(LEASES, steady + rules.lease_ms)
  restart(GONE, steady + rules.grace_ms)
  restart(WAITING, steady + rules.grace_ms)
end

-- The caller is to begin anew if the log did, and if its names were freed while it was away.
local known = call('ZSCORE', LEASES, worker) or call('ZSCORE', GONE, worker)
local reset = caller.epoch ~= '' and (caller.epoch ~= meta.epoch or not known)

-- This comes first of all that is written: a server without memory, or a replica, refuses it, and
-- then nothing is.
call('ZADD', LEASES, steady + rules.lease_ms, worker)
call('ZREM', GONE, worker)

if reset then
  -- Nobody: this wakes the worker's follower, whose it is to tell of the reset.
  call('XADD', LOST .. worker, '*', 'h', '')
end

do
  local ended = call('ZRANGEBYSCORE', LEASES, '-inf', steady, 'WITHSCORES')
  for i = 1, #ended, 2 do
    call('ZREM', LEASES, ended[i])
    call('ZADD', GONE, ended[i + 1] + rules.grace_ms, ended[i])
  end
end

--- Events and notices.

local function add(...)
  meta.last_id, meta.last_ms = meta.last_id + 1, now
  call('XADD', LOG, meta.last_id .. '-0', 'e', encode({now, ...}))
end

local notices -- those that wait, once they are read

local function is_due(kind)
  return steady - meta['told_' .. kind] >= rules.notice_interval_ms
end

local function write_notices()
  call('DEL', NOTICES)
  for i = 1, #notices, PUSHED do
    local packed = {}
    for j = i, math.min(i + PUSHED - 1, #notices) do
      packed[#packed + 1] = encode(notices[j])
    end
    call('RPUSH', NOTICES, unpack(packed))
  end
end

-- Read what waits. A version that told joins and leaves of one name one by one may have left many of
-- them: those that nobody was told of cancel each other.
local function read_notices()
  local read, joins = {}, {}
  for i, packed in ipairs(call('LRANGE', NOTICES, 0, -1)) do
    local notice = decode(packed)
    local kind, key = notice[1], notice[2]
    read[i] = notice
    if kind == 'join' then
      joins[key] = notice
    elseif joins[key] then
      notice.cancelled, joins[key].cancelled = true, true
      joins[key] = nil
      meta.pending_join, meta.pending_leave = meta.pending_join - 1, meta.pending_leave - 1
    end
  end
  notices = {}
  for _, notice in ipairs(read) do
    if not notice.cancelled then
      notices[#notices + 1] = notice
    end
  end
  if #notices < #read then
    write_notices()
  end
end

-- Make one event of all notices of this kind that may be told, if it is time for one.
local function tell(kind)
  if meta['pending_' .. kind] == 0 or not is_due(kind) then
    return false
  end
  if not notices then
    read_notices()
  end
  local seen, left, names, count = {}, {}, {}, 0
  for _, notice in ipairs(notices) do
    -- Of one name, only the first of its notices: joins and leaves are told in their order.
    if notice[1] == kind and not seen[notice[2]] then
      count = count + 1
      if count <= rules.max_users then
        names[count] = notice[3]
      end
    else
      left[#left + 1] = notice
    end
    seen[notice[2]] = true
  end
  if count == 0 then
    return false
  end
  notices = left
  write_notices()
  meta['pending_' .. kind] = meta['pending_' .. kind] - count
  meta['told_' .. kind] = steady
  add(kind, count + meta['nameless_' .. kind], names)
  meta['nameless_' .. kind] = 0
  return true
end

-- Whether the name's join was waiting to be told, and is no more.
local function cancel_join(key, name)
  local waited = meta.pending_join > 0
    and call('LREM', NOTICES, -1, encode({'join', key, name})) > 0
  if waited then
    meta.pending_join = meta.pending_join - 1
    notices = nil
  end
  return waited
end

local function notify(kind, key, name)
  if kind == 'leave' and cancel_join(key, name) then
    return -- nobody was told of either
  end
  if meta.pending_join + meta.pending_leave > 2 * rules.max_notices then
    read_notices()
  end
  if meta['pending_' .. kind] >= rules.max_notices then
    meta['nameless_' .. kind] = meta['nameless_' .. kind] + 1
    return
  end
  local notice = {kind, key, name}
  call('RPUSH', NOTICES, encode(notice))
  if notices then
    notices[#notices + 1] = notice
  end
  meta['pending_' .. kind] = meta['pending_' .. kind] + 1
end

--- Names.

local records = {} -- those that were looked at; false: free

local function find(key)
  if records[key] == nil then
    local packed = call('HGET', NAMES, key)
    records[key] = packed and decode(packed)
  end
  return records[key]
end

local function put(key, record)
  records[key] = record
  call('HSET', NAMES, key, encode(record))
end

local function find_held(key, holder)
  local record = find(key)
  return record and not record.waiting and record.holder == holder and record
end

local lists, first_users = {}, nil -- what claims are answered with, the last one still growing

local function list_users()
  if not first_users then
    first_users = call('ZRANGE', ORDER, 0, rules.max_users - 1)
    lists[#lists + 1] = first_users
  end
  return #lists, #first_users
end

-- Names that look alike; see chatserver/people/lookalikes.py. `looks` is {scripts, skeletons}.

local function remember_looks(key, record, skeletons, scripts)
  record.looks = {scripts, skeletons}
  for _, skeleton in ipairs(skeletons) do
    call('SADD', SCRIPTS .. skeleton, scripts)
    call('ZADD', LOOKS .. scripts .. ':' .. skeleton, record.number, key)
  end
end

local function forget_look(key, skeleton, scripts)
  call('ZREM', LOOKS .. scripts .. ':' .. skeleton, key)
  if call('EXISTS', LOOKS .. scripts .. ':' .. skeleton) == 0 then
    call('SREM', SCRIPTS .. skeleton, scripts)
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

-- The first name that looks so.
local function first_that_looks(skeleton, scripts)
  while true do
    local first = call('ZRANGE', LOOKS .. scripts .. ':' .. skeleton, 0, 0, 'WITHSCORES')
    if not first[1] then
      return nil
    end
    local record = find(first[1])
    if record and record.number == tonumber(first[2]) then
      return record
    end
    -- A worker of a version that knows nothing of looks has freed it.
    forget_look(first[1], skeleton, scripts)
  end
end

-- A name that one with these looks could be taken for.
local function find_lookalike(skeletons, scripts)
  for _, skeleton in ipairs(skeletons) do
    for _, others in ipairs(call('SMEMBERS', SCRIPTS .. skeleton)) do
      local record = not share_script(scripts, others) and first_that_looks(skeleton, others)
      if record then
        return record
      end
    end
  end
end

local function hold(key, record, holder)
  record.holder, record.worker, record.waiting = holder, worker, false
  call('ZADD', HELD .. worker, record.number, key)
  put(key, record)
end

local function join(key, name, secret, holder, skeletons, scripts)
  meta.number = meta.number + 1
  call('ZADD', ORDER, meta.number, name)
  if first_users and #first_users < rules.max_users then
    first_users[#first_users + 1] = name
  end
  local record = {number = meta.number, name = name, secret = secret}
  remember_looks(key, record, skeletons, scripts)
  hold(key, record, holder)
  return record
end

local function take_over(key, record, holder)
  if record.waiting then
    call('ZREM', WAITING, key)
  else
    call('ZREM', HELD .. record.worker, key)
    call('XADD', LOST .. record.worker, 'MAXLEN', '~', LOST_KEPT, '*', 'h', record.holder)
  end
  hold(key, record, holder)
end

local function free(key, record)
  records[key] = false
  call('HDEL', NAMES, key)
  call('ZREM', ORDER, record.name)
  call('ZREM', WAITING, key)
  call('ZREM', HELD .. record.worker, key)
  if record.looks then
    for _, skeleton in ipairs(record.looks[2]) do
      forget_look(key, skeleton, record.looks[1])
    end
  end
  first_users = nil
  notify('leave', key, record.name)
end

local function suspend(key, record)
  record.waiting = true
  put(key, record)
  call('ZREM', HELD .. record.worker, key)
  call('ZADD', WAITING, steady + rules.grace_ms, key)
end

--- Time passes.

local function free_names_of(gone)
  for _, key in ipairs(call('ZRANGE', HELD .. gone, 0, FREED - 1)) do
    free(key, find(key))
  end
  if call('EXISTS', HELD .. gone) == 0 then
    call('ZREM', GONE, gone)
    call('DEL', LOST .. gone, DONE .. gone)
  end
end

-- Free the names whose time is up, and tell the notices that are due.
local function settle()
  for _, key in ipairs(call('ZRANGEBYSCORE', WAITING, '-inf', steady, 'LIMIT', 0, FREED)) do
    free(key, find(key))
  end
  for _, gone in ipairs(call('ZRANGEBYSCORE', GONE, '-inf', steady)) do
    free_names_of(gone)
  end
  -- A leave that was told may be what the same name's join has waited for.
  while tell('join') or tell('leave') do end
end

-- Milliseconds until `settle` has something to do.
local function due()
  local moment = steady + rules.max_tick_ms
  for _, set in ipairs({WAITING, GONE}) do
    local first = call('ZRANGE', set, 0, 0, 'WITHSCORES')
    moment = math.min(moment, tonumber(first[2] or moment))
  end
  for _, kind in ipairs(KINDS) do
    -- Those whose time has come and that are still there wait for the other kind.
    if meta['pending_' .. kind] > 0 and not is_due(kind) then
      moment = math.min(moment, meta['told_' .. kind] + rules.notice_interval_ms)
    end
  end
  return math.max(0, moment - steady)
end

-- Remove the oldest events that are not to be kept.
local function trim()
  local first, last = meta.first_id, meta.last_id
  local most = math.min(last, first + rules.max_trim)
  local keep_from = first
  if rules.keep_messages then
    keep_from = math.max(first, last + 1 - rules.keep_messages)
  end
  if rules.keep_ms then
    local id, young = first, false
    while id < most and not young do
      for _, entry in ipairs(call('XRANGE', LOG, id .. '-0', '+', 'COUNT', SCANNED)) do
        young = young or time_of(entry) >= now - rules.keep_ms
        id = young and id or id + 1
      end
    end
    keep_from = math.max(keep_from, id)
  end
  keep_from = math.max(first, math.min(keep_from, most))
  if keep_from > first then
    call('XTRIM', LOG, 'MINID', '=', keep_from .. '-0')
    meta.first_id = keep_from
  end
end

--- Operations. Each checks everything before it changes anything.

local CLAIM_LOST = {'lost'}

local listed = {} -- what `names` found, in order

local operations = {}

-- `secret` is what the caller shows, or false; `fresh_secret` that of a new membership.
function operations.claim(key, name, holder, secret, fresh_secret, skeletons, scripts)
  local record = find(key)
  local is_new = not record
  local lookalike = is_new and find_lookalike(skeletons, scripts)
  if lookalike then
    return {'alike', lookalike.name}
  elseif is_new then
    record = join(key, name, fresh_secret, holder, skeletons, scripts)
  elseif record.secret == secret then
    take_over(key, record, holder)
  else
    return {'taken', record.name}
  end
  local list, length = list_users()
  local online = call('ZCARD', ORDER)
  local answer = {
    record.name, record.secret, meta.first_id, meta.last_id, online, list, length,
  }
  if is_new then
    notify('join', key, record.name)
    tell('join') -- before what the new member says
  end
  return answer
end

-- How a name looks that is of an earlier version.
function operations.describe(key, name, skeletons, scripts)
  local record = find(key)
  if record and record.name == name and not record.looks then
    remember_looks(key, record, skeletons, scripts)
    put(key, record)
  end
  return true
end

function operations.described()
  call('HSET', META, 'described', 1)
  return true
end

-- Nobody has heard the answer to a claim that was to give this secret to a new membership.
function operations.abandon(key, holder, fresh_secret)
  local record = find_held(key, holder)
  if record and record.secret == fresh_secret then
    free(key, record)
  elseif record then
    suspend(key, record)
  end
  return true
end

function operations.release(key, holder)
  local record = find_held(key, holder)
  if not record then
    return CLAIM_LOST
  end
  free(key, record)
  return true
end

function operations.suspend(key, holder)
  local record = find_held(key, holder)
  if not record then
    return CLAIM_LOST
  end
  suspend(key, record)
  return true
end

-- `digest` stands for the idempotency key with its scope; false: there is none.
function operations.append(key, holder, text, digest, text_digest)
  local record = find_held(key, holder)
  if not record then
    return CLAIM_LOST
  end
  if digest then
    local packed = call('GET', SENT .. digest)
    local sent = packed and decode(packed)
    -- The server's clock, by which it forgets, need not be ours.
    if sent and now - sent[3] <= rules.key_ms then
      if sent[1] ~= text_digest then
        return {'key'}
      end
      return {sent[2], sent[3]}
    end
  end
  meta.messages = meta.messages + 1
  add(record.name, text)
  if digest then
    local sent = encode({text_digest, meta.last_id, now})
    call('SET', SENT .. digest, sent, 'PX', rules.key_ms)
  end
  return {meta.last_id, now}
end

function operations.names()
  listed[#listed + 1] = call('ZRANGE', ORDER, 0, -1)
  return true
end

function operations.counts()
  return {call('ZCARD', ORDER), meta.messages}
end

local ticked = false

-- Answered once the whole batch is settled.
function operations.tick()
  ticked = true
  return true
end

-- The worker ends: what it still holds waits from now on.
function operations.goodbye()
  call('ZREM', LEASES, worker)
  -- It is forgotten by a later batch, not by this one, which is kept as its last.
  call('ZADD', GONE, steady + math.max(1, rules.grace_ms), worker)
  return true
end

--- The batch.

local function header()
  return encode({reset, meta.epoch, meta.last_id, meta.last_ms})
end

if reset or caller.sequence == 0 then
  save_meta()
  return {header()}
end

local batch = decode(ARGV[3])
local done = call('HMGET', DONE .. worker, 'sequence', 'reply')
local before = tonumber(done[1] or 0)

if caller.sequence < before then
  return redis.error_reply('STALE a later batch of this worker has taken effect')
end
if caller.sequence == before then
  -- It took effect, and the answer was lost on its way. What is long and harmless is done again.
  for _, operation in ipairs(batch) do
    if operation[1] == 'names' then
      operations.names()
    end
  end
  save_meta()
  return {header(), done[2], encode(listed)}
end

local results = {}
for i, operation in ipairs(batch) do
  results[i] = operations[operation[1]](unpack(operation, 2))
end
settle()
if ticked then
  trim()
  local rest = due()
  for i, operation in ipairs(batch) do
    results[i] = operation[1] == 'tick' and rest or results[i]
  end
end
save_meta()
local reply = encode({results, lists})
call('HSET', DONE .. worker, 'sequence', caller.sequence, 'reply', reply)
return {header(), reply, encode(listed)}
