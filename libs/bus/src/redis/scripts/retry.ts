import { defineFencedScript } from './fenced.ts';

/**
 * KEYS stream, delayed; ARGV group, consumer, id, delayMs. Puts off an entry that this consumer holds: it stays pending, and comes to whichever
 * consumer first asks for what is due. Returns 0 where it is another's by now.
 */
export const delayEntry = defineFencedScript(`
if not redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[3], ARGV[3], 1, ARGV[2])[1] then return 0 end
local time = redis.call('TIME')
redis.call('ZADD', KEYS[2], time[1] * 1000 + math.floor(time[2] / 1000) + tonumber(ARGV[4]), ARGV[3])
return 1`);

/**
 * KEYS stream, delayed, attempts; ARGV group, consumer, count. Moves what is due from the sorted set to this consumer, without counting a handling:
 * {ids, deleted, ms until the next one is due (-1 = none), how many are put off}.
 */
export const takeDueEntries = defineFencedScript(`
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local ids, deleted = {}, 0
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now, 'LIMIT', 0, ARGV[3])) do
  redis.call('ZREM', KEYS[2], id)
  if #redis.call('XPENDING', KEYS[1], ARGV[1], id, id, 1) > 0 then
    if #redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, id, 'JUSTID') > 0 then
      ids[#ids + 1] = id
    else
      redis.call('XACK', KEYS[1], ARGV[1], id)
      redis.call('HDEL', KEYS[3], id)
      deleted = deleted + 1
    end
  end
end
local first = redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')
return {ids, deleted, first[2] and math.max(0, first[2] - now) or -1, redis.call('ZCARD', KEYS[2])}`);

/**
 * KEYS stream, delayed, attempts; ARGV group, consumer, idleMs, cursor, count. Takes over what nobody touched for \`idleMs\`, without counting a
 * handling; entries that are put off keep waiting: {cursor, ids, deleted}.
 */
export const reclaimEntries = defineFencedScript(`
local reply = redis.call('XAUTOCLAIM', KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4], 'COUNT', ARGV[5], 'JUSTID')
local ids = {}
for _, id in ipairs(reply[2]) do
  if not redis.call('ZSCORE', KEYS[2], id) then ids[#ids + 1] = id end
end
for _, id in ipairs(reply[3] or {}) do
  redis.call('ZREM', KEYS[2], id)
  redis.call('HDEL', KEYS[3], id)
end
return {reply[1], ids, #(reply[3] or {})}`);
