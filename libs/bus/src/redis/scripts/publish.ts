import { defineScript } from '@millrace/redis-kit';

/**
 * KEYS stream, mark, recent ids; ARGV layout id, maxLength ('' = none), dedupMs (0 = off), nowMs, place of the event id among the fields, number of
 * fields, their names, then each entry's values ('' = left out). Appends in order, leaving out ids that were appended in the last \`dedupMs\`:
 * how many were appended, or 'moved' where the partition is not open for this layout (the topic has other partitions, or Redis was flushed): then
 * nothing is.
 */
export const appendEvents = defineScript(`
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 'moved' end
local call, values = redis.call, ARGV
local dedupMs, now, idAt, width = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local entry, base = {'XADD', KEYS[1]}, 2
if ARGV[2] ~= '' then
  entry[3], entry[4], entry[5] = 'MAXLEN', '~', ARGV[2]
  base = 5
end
base = base + 1
entry[base] = '*'
if dedupMs > 0 then call('ZREMRANGEBYSCORE', KEYS[3], '-inf', now - dedupMs) end
local appended = 0
for i = 7 + width, #values, width do
  if dedupMs == 0 or call('ZADD', KEYS[3], 'NX', now, values[i + idAt]) == 1 then
    local n = base
    for j = 0, width - 1 do
      local value = values[i + j]
      if value ~= '' then
        entry[n + 1] = values[7 + j]
        entry[n + 2] = value
        n = n + 2
      end
    end
    call(unpack(entry, 1, n))
    appended = appended + 1
  end
end
if dedupMs > 0 and appended > 0 then call('PEXPIRE', KEYS[3], dedupMs) end
return appended`);
