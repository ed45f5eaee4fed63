--- The batch.

local function header()
  return encode({reset, meta.epoch, meta.last_id, meta.last_ms})
end

if is_new then
  rooms.make_lobby()
  rooms.save()
end
if reset or caller.sequence == 0 then
  save_meta()
  return {header()}
end

local batch = decode(ARGV[3])
local before = tonumber(call('HGET', at.done_of .. worker, 'sequence') or 0)

if caller.sequence < before then
  return redis.error_reply('STALE a later batch of this worker has taken effect')
end
if caller.sequence == before then
  -- It took effect, and the answer was lost on its way.
  save_meta()
  return {header(), call('HGET', at.done_of .. worker, 'reply')}
end

local results = {}
for i, operation in ipairs(batch) do
  results[i] = operations.run(unpack(operation))
  telling.tell()
end
time.settle()
if operations.ticked then
  time.forget()
  time.trim()
  rooms.erase_ended()
  rooms.forget_erased()
end
rooms.trim_tail()
telling.publish()
telling.save()
rooms.save()
if operations.ticked then
  local rest = time.due()
  for i, operation in ipairs(batch) do
    results[i] = operation[1] == 'tick' and rest or results[i]
  end
end
save_meta()
local reply = encode({results, names.lists()})
call('HSET', at.done_of .. worker, 'sequence', caller.sequence, 'reply', reply)
return {header(), reply}
