--- Time passes.

-- A stay is over. Returns how many seats end with it.
function time.end_stay(key, record, stay)
  names.free(key, record, stay)
  if not record.places then
    return seats.end_stay(key, record)
  elseif #record.places == 0 then
    seats.go_offline(key, record)
  end
  return 0
end

-- End the stays of these slots, some seats at a time; returns how many more may end.
local function end_stays(slots, most)
  for _, slot in ipairs(slots) do
    if most <= 0 then
      break
    end
    most = most - math.max(1, time.end_stay(names.at(slot)))
  end
  return most
end

-- Forget sanctions whose time is over, and the operator's account if the operator is not there.
function time.forget()
  for _, ended in ipairs(sanctions.ended()) do
    sanctions.remove(rooms.find(ended[2]), ended[1])
  end
  local account = names.find(rules.operator)
  if account and account.places and #account.places == 0 then
    seats.end_stay(rules.operator, account)
    names.forget_account(rules.operator, account)
  end
end

-- Free the names whose time is up, and tell what is due.
function time.settle()
  local waiting = call('ZRANGEBYSCORE', at.waiting, '-inf', steady, 'LIMIT', 0, FREED)
  local most = end_stays(waiting, FREED)
  for _, gone in ipairs(call('ZRANGEBYSCORE', at.gone, '-inf', steady)) do
    most = end_stays(call('ZRANGE', at.held_of .. gone, 0, FREED - 1), most)
    if call('EXISTS', at.held_of .. gone) == 0 then
      call('ZREM', at.gone, gone)
      call('DEL', at.lost_of .. gone, at.done_of .. gone)
    end
  end
  telling.tell_due()
end

-- Milliseconds until `settle` has something to do.
function time.due()
  local moment = steady + rules.max_tick_ms
  for _, set in ipairs({at.waiting, at.gone, at.due}) do
    local first = call('ZRANGE', set, 0, 0, 'WITHSCORES')
    moment = math.min(moment, tonumber(first[2] or moment))
  end
  return math.max(0, moment - steady)
end

-- The first event that is not older than what is kept, of the oldest ones up to `most`; events from
-- before a bound was set are as young as the first one after that.
local function first_young(most)
  local id, from = meta.first_id, '-'
  while from do
    local entries = call('XRANGE', at.times, from, '+', 'COUNT', SCANNED)
    for _, entry in ipairs(entries) do
      local begin = tonumber(string.match(entry[1], '%d+'))
      if tonumber(entry[2][2]) >= now - rules.keep_ms then
        return math.max(id, begin)
      elseif begin > most then
        return most
      end
    end
    from = #entries == SCANNED and '(' .. entries[SCANNED][1]
  end
  return call('EXISTS', at.times) == 1 and most or id
end

-- Move the log's beginning behind the oldest events that are not to be kept. A room's own go when it
-- is next touched.
function time.trim()
  local first, last = meta.first_id, meta.last_id
  local most = math.min(last, first + rules.max_trim)
  local keep_from = first
  if rules.keep_messages then
    keep_from = math.max(first, last + 1 - rules.keep_messages)
  end
  if rules.keep_ms then
    keep_from = math.max(keep_from, first_young(most))
  end
  keep_from = math.max(first, math.min(keep_from, most))
  if keep_from > first then
    meta.first_id = keep_from
    local begin = call('XREVRANGE', at.times, keep_from .. '-0', '-', 'COUNT', 1)[1]
    if begin then
      call('XTRIM', at.times, 'MINID', '=', begin[1])
    end
  end
end
