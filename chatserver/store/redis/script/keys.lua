--- What is kept, for all scripts.
--
-- KEYS[1]  the tail, by which a cluster finds the node; all else is there, too.
--
-- All times are in milliseconds, steady ones but for those of events, of passes and of what
-- is `sent`:
--
--   tail           stream: n-0, n = 1, 2, 3, …, the newest entries of the log, of all rooms: their
--                  type with their body (see rooms.add), `r` their room, `t` their text
--   erased         sorted set: `id:time` by id, of entries of the tail whose text was to be erased
--   times          stream: n-0 with the time of the events from that one on; with `keep_ms` only
--   state          hash: see FIELDS in state.lua. Before there were accounts it was `meta`, where a text is
--                  now: workers of that version, who know of no sanctions, can do nothing here
--   names          hash: key of the name -> a record. All have {number, name, by, looks}; a guest's, which
--                  is its stay too, has {secret, holder, worker, waiting, address}; an account's has
--                  {subject, role, revoked, places}, and each place {number, secret, holder, worker, waiting}
--   known          sorted set: name, \0, key; all with 0
--   addresses      sorted set: digest of an address, \0, key of a guest who comes from there; all with 0
--   counts         hash: `accounts`, and of those how many are `online` in how many `places`
--   scripts:<skeleton>           set: the scripts, as a text, of names with this skeleton
--   looks:<scripts>:<skeleton>   sorted set: keys of names that look so, by number
--   order          sorted set: name of who is in the lobby and online, by its number in the joining order
--   waiting        sorted set: slot of a suspended stay, by the moment until which it waits. The slot of
--                  a guest is the key; that of a place: key, \0, number
--   sent:<digest>  {digest of the text, id, time}, for an idempotency key; where the version before
--                  rooms had it
--   leases         sorted set: worker, by the end of its lease
--   gone           sorted set: worker whose lease is over, by the end of the grace
--   held:<worker>  sorted set: slots of the stays that the worker's connections hold, by number
--   lost:<worker>  stream: `h`, holders of this worker that lost their claim, `w` why, `t` what they are
--                  told; or nobody (''), to wake its follower
--   done:<worker>  hash: `sequence` of the worker's last batch, and its `reply`
--
--   rooms          hash: name -> see ROOM_FIELDS, an array; once there was need of it with `*`, the room
--                  of announcements, of the kind `everywhere`
--   named          sorted set of names of all rooms but that, all with 0
--   public         sorted set of names, all with 0
--   direct         hash: two identities -> the name of their room
--   due            sorted set: name of a room that has something to tell, by the moment
--   passes         hash: digest -> {room, until, uses or false}
--   made           hash: identity -> how many rooms it has made that are there
--   inside:<by>    sorted set of the names of the rooms beside the lobby in which the identity is, all with 0
--   blocks:<by>    set: keys of names that it blocks
--   revoked        hash: identity of an account that was erased -> the second after which its tokens were signed
--   ending         sorted set: numbers of rooms that have ended, by the moment from which they are erased
--   sanctions      hash: number -> {kind, room, by, address, name, author, reason, time, until or false}
--   ranks          hash: number of a sanction -> the rank of its author; 1 if it is not here. Versions before
--                  it was kept let everyone lift who may moderate, and leave what it was of a lifted one
--   lifting        sorted set: number of a sanction, by the time until which it holds
--   asides         no key but a channel: what is told beside the log, lists of
--                  {room, type, user, by, online}
--
-- and of each room, by its number, which is never given twice:
--
--   log:<n>        stream: its events, as in the tail but for `r` and `t`
--   texts:<n>      hash: id of a message or an edit -> its text; what is not here was removed
--   edited:<n>     hash: id of a message -> {when, ids of its edits}
--   seats:<n>      hash: identity -> {number, name, messages that are read, key of the name}; in the lobby
--                  with the place in the order in which they sat down
--   people:<n>     sorted set: name, \0, identity; all with 0
--   seated:<n>     sorted set: identity, by the number of its seat; of private ones
--   notices:<n>    list, in order: {kind, key, name, by}, not told yet; of one name a leave, a join or both
--   reactions:<n>  hash: id of a message -> kinds of its reactions, in the order in which they came
--   reacted:<id>:<kind>  sorted set: identity, a space, name; in the order in which they came
--   reacting:<n>   sorted set: ids of messages whose reactions changed and are not told yet
--   passes:<n>     set: digests
--   sanctions:<n>  set: numbers
--   against:<n>    hash: kind, a space, identity or digest of an address -> numbers of sanctions
--
-- A worker whose lease is over has all its names waiting at once, without a change to any of them;
-- if it comes back within the grace, it has them again.

local call, encode, decode = redis.call, cmsgpack.pack, cmsgpack.unpack

-- Where things are. The hash tag in the braces keeps all on one node of a cluster.
local at = {
  tail = '{chat}2:tail',
  erased = '{chat}2:erased',
  times = '{chat}2:times',
  meta = '{chat}2:state',
  meta_before = '{chat}2:meta',
  names = '{chat}2:names',
  order = '{chat}2:order',
  waiting = '{chat}2:waiting',
  leases = '{chat}2:leases',
  gone = '{chat}2:gone',
  rooms = '{chat}2:rooms',
  public = '{chat}2:public',
  direct = '{chat}2:direct',
  due = '{chat}2:due',
  passes = '{chat}2:passes',
  made = '{chat}2:made',
  revoked = '{chat}2:revoked',
  ending = '{chat}2:ending',
  known = '{chat}2:known',
  addresses = '{chat}2:addresses',
  counts = '{chat}2:counts',
  named = '{chat}2:named',
  sanctions = '{chat}2:sanctions',
  ranks = '{chat}2:ranks',
  lifting = '{chat}2:lifting',
  asides = '{chat}2:asides',

  scripts_of = '{chat}2:scripts:',
  looks_of = '{chat}2:looks:',
  held_of = '{chat}2:held:',
  lost_of = '{chat}2:lost:',
  done_of = '{chat}2:done:',
  inside_of = '{chat}2:inside:',
  blocks_of = '{chat}2:blocks:',
  reacted_of = '{chat}2:reacted:',
  sent_of = '{chat}:sent:', -- as before there were rooms

  log_of = '{chat}2:log:',
  texts_of = '{chat}2:texts:',
  edited_of = '{chat}2:edited:',
  seats_of = '{chat}2:seats:',
  people_of = '{chat}2:people:',
  seated_of = '{chat}2:seated:',
  notices_of = '{chat}2:notices:',
  reactions_of = '{chat}2:reactions:',
  reacting_of = '{chat}2:reacting:',
  passes_of = '{chat}2:passes:',
  sanctions_of = '{chat}2:sanctions:',
  against_of = '{chat}2:against:',
}

local LOBBY, EVERYWHERE = 'lobby', '*'
local ACCOUNTS_TEXT = 'This chat has accounts now, which this version does not know'

local ROOM_FIELDS = {
  'number', 'kind', 'title', 'topic',
  'owner', 'maker', -- identities, or ''
  'everything', -- whether whoever enters may read what was before
  'last_id', -- the newest event; 0: there was none
  'said', -- messages since the room began
  'pair', -- of a direct room: {identity, name, identity, name}; else false
  'trimmed', -- nothing below this id is left
  'told_join', 'told_leave', -- when a notice of the kind was told
  'pending_join', 'pending_leave', -- how many wait in `notices` to be told
  'nameless_join', 'nameless_leave', -- how many more do, whose names are not kept
  'reacted_at', -- when reactions were told
  'sanctioned', -- how many sanctions there are
}

-- The room with this name, its fields by their names; nil: there is none.
local function load_room(name)
  local packed = call('HGET', at.rooms, name)
  if not packed then
    return nil
  end
  local room, values = {name = name}, decode(packed)
  for i, field in ipairs(ROOM_FIELDS) do
    room[field] = values[i]
  end
  room.sanctioned = room.sanctioned or 0 -- before there were accounts there were none
  return room
end

local function id_of(entry)
  return tonumber(string.match(entry[1], '%d+'))
end

--- Reactions.

local reactions = {}

-- The kinds of reactions to a message.
function reactions.kinds(room, id)
  local packed = call('HGET', at.reactions_of .. room.number, id)
  return packed and decode(packed) or {}
end

-- The reactions to a message: {kind, how many, the first `most` of the names} of each.
function reactions.list(room, id, most)
  local list = {}
  for i, kind in ipairs(reactions.kinds(room, id)) do
    local set, names = at.reacted_of .. id .. ':' .. kind, {}
    for j, member in ipairs(call('ZRANGE', set, 0, most - 1)) do
      names[j] = string.match(member, ' (.*)')
    end
    list[i] = {kind, call('ZCARD', set), names}
  end
  return list
end
