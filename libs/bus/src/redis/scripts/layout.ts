import { defineScript } from '@millrace/redis-kit';

/** KEYS meta; ARGV id, partitions, next. The topic's layout, made where there is none: flat fields. */
export const openLayout = defineScript(`
if redis.call('EXISTS', KEYS[1]) == 0 then redis.call('HSET', KEYS[1], 'id', ARGV[1], 'first', 0, 'partitions', ARGV[2], 'next', ARGV[3]) end
return redis.call('HGETALL', KEYS[1])`, { whenFull: 'run' });

/** KEYS meta; ARGV id, old first, old partitions, first, partitions, next. Publishes to the new set from now on, the old one drains. 0 where the layout has changed meanwhile. */
export const changeLayout = defineScript(`
local id, first, partitions, draining = unpack(redis.call('HMGET', KEYS[1], 'id', 'first', 'partitions', 'draining'))
if id ~= ARGV[1] or first ~= ARGV[2] or partitions ~= ARGV[3] or draining then return 0 end
redis.call('HSET', KEYS[1], 'first', ARGV[4], 'partitions', ARGV[5], 'next', ARGV[6], 'draining', ARGV[2] .. ':' .. ARGV[3])
return 1`, { whenFull: 'run' });

/** KEYS meta; ARGV draining ("first:partitions"). Every group has finished it: from now on it is being removed. */
export const endDraining = defineScript(`
if redis.call('HGET', KEYS[1], 'draining') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'drained', ARGV[1])
return redis.call('HDEL', KEYS[1], 'draining')`, { whenFull: 'run' });

/** A partition's mark once nothing may be appended to it any more: "closed <layout id>". */
export const CLOSED = 'closed';

/** KEYS mark; ARGV layout id. Publishers with this layout may append. One that was closed in this layout stays so; one of a layout that is lost does not. */
export const openPartition = defineScript(`
local mark = redis.call('GET', KEYS[1])
if mark ~= '${CLOSED} ' .. ARGV[1] and mark ~= ARGV[1] then redis.call('SET', KEYS[1], ARGV[1]) end
return 1`, { whenFull: 'run' });

/**
 * KEYS stream, mark; ARGV group ('' = every group). 1 where nothing can come any more and nothing is left to do: the stream is closed and the
 * group has read and acknowledged all of it, or it has been removed.
 */
export const isDrained = defineScript(`
if string.sub(redis.call('GET', KEYS[2]) or '', 1, ${CLOSED.length}) ~= '${CLOSED}' then return 0 end
if redis.call('EXISTS', KEYS[1]) == 0 then return 1 end
local found = ARGV[1] == '' and redis.call('XLEN', KEYS[1]) == 0
for _, flat in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  local group = {}
  for i = 1, #flat, 2 do group[flat[i]] = flat[i + 1] end
  if ARGV[1] == '' or group['name'] == ARGV[1] then
    found = true
    if group['pending'] > 0 or #redis.call('XRANGE', KEYS[1], '(' .. group['last-delivered-id'], '+', 'COUNT', 1) > 0 then return 0 end
  end
end
return found and 1 or 0`, { whenFull: 'run' });
