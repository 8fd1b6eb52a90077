import { defineFencedScript } from './fenced.ts';

/**
 * KEYS stream; ARGV group, consumer, count, last id that the consumer was given ('' = it does not know). New entries without waiting:
 * {entries, last id delivered to the group, 0}. {{}, last id, 1} where the group was given more than the consumer knows of: an answer was lost.
 */
export const readEntries = defineFencedScript(`
local delivered
for _, flat in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  local group = {}
  for i = 1, #flat, 2 do group[flat[i]] = flat[i + 1] end
  if group['name'] == ARGV[1] then delivered = group['last-delivered-id'] end
end
if delivered and ARGV[4] ~= '' and ARGV[4] ~= delivered then return {{}, delivered, 1} end
local reply = redis.call('XREADGROUP', 'GROUP', ARGV[1], ARGV[2], 'COUNT', ARGV[3], 'STREAMS', KEYS[1], '>')
if not reply then return {{}, delivered, 0} end
local entries = reply[1][2]
return {entries, entries[#entries][1], 0}`);

/** KEYS stream; ARGV group, ids... */
export const ackEntries = defineFencedScript(`return redis.call('XACK', KEYS[1], unpack(ARGV))`);

/**
 * KEYS stream, attempts; ARGV group, consumer, id, maxAttempts, nowMs. Counts one handling of an entry that this consumer holds and returns
 * it: {'claimed', attempts, fields} | {'exhausted', attempts} | {'deleted'} | {'gone'}.
 */
export const claimEntry = defineFencedScript(`
local pending = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[3], ARGV[3], 1, ARGV[2])[1]
if not pending then return {'gone'} end
if pending[4] >= tonumber(ARGV[4]) then return {'exhausted', pending[4]} end
local entry = redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[3])[1]
if not entry then
  redis.call('XACK', KEYS[1], ARGV[1], ARGV[3])
  redis.call('HDEL', KEYS[2], ARGV[3])
  return {'deleted'}
end
redis.call('HSETNX', KEYS[2], ARGV[3], ARGV[5])
return {'claimed', pending[4] + 1, entry[2]}`);

/** KEYS stream; ARGV group, consumer, id, attempts. Takes back the counting of a claim, of an entry that this consumer still holds. */
export const releaseEntry = defineFencedScript(`
if not redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[3], ARGV[3], 1, ARGV[2])[1] then return 0 end
redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[3], 'RETRYCOUNT', ARGV[4], 'JUSTID')
return 1`);

/**
 * KEYS stream, delayed, dead letters, attempts; ARGV group, consumer, id, reason, attempts, nowMs, maxLength, minId. Copies an entry to the
 * dead letters (our seven fields first, then the entry's own), acknowledges it, and cuts off the oldest dead letters. Returns 0 where it is not
 * pending any more (somebody else was first), else 1 + how many old dead letters went.
 */
export const parkEntry = defineFencedScript(`
if #redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[3], ARGV[3], 1) == 0 then return 0 end
local entry = redis.call('XRANGE', KEYS[1], ARGV[3], ARGV[3])[1]
local cut = 0
if entry then
  local since = redis.call('HGET', KEYS[4], ARGV[3]) or ARGV[6]
  redis.call('XADD', KEYS[3], '*', 'reason', ARGV[4], 'source_id', ARGV[3], 'group', ARGV[1], 'consumer', ARGV[2],
    'attempts', ARGV[5], 'first_seen', since, 'last_seen', ARGV[6], unpack(entry[2]))
  cut = redis.call('XTRIM', KEYS[3], 'MINID', '~', ARGV[8]) + redis.call('XTRIM', KEYS[3], 'MAXLEN', '~', ARGV[7])
end
redis.call('XACK', KEYS[1], ARGV[1], ARGV[3])
redis.call('HDEL', KEYS[4], ARGV[3])
redis.call('ZREM', KEYS[2], ARGV[3])
return 1 + cut`);

/** KEYS stream; ARGV group, consumer, ids... Resets the idle time of those that this consumer still holds; never takes one back from another. */
export const touchEntries = defineFencedScript(`
local touched = 0
for i = 3, #ARGV do
  if redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[i], ARGV[i], 1, ARGV[2])[1] then
    redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[i], 'JUSTID')
    touched = touched + 1
  end
end
return touched`);

/** KEYS stream, delayed; ARGV group, consumer, exclusive start or '-', count. What the consumer holds and nobody has put off: {ids, where to go on ('' = at the end)}. */
export const listPending = defineFencedScript(`
local rows = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[3], '+', ARGV[4], ARGV[2])
local ids = {}
for _, row in ipairs(rows) do
  if not redis.call('ZSCORE', KEYS[2], row[1]) then ids[#ids + 1] = row[1] end
end
return {ids, #rows == tonumber(ARGV[4]) and '(' .. rows[#rows][1] or ''}`);

/**
 * KEYS stream, delayed, attempts; ARGV group, consumer, start, count, put off (1 = also). For the only consumer of a leased partition: takes over
 * what the group has pending, whoever held it, without counting a handling: {entries, deleted, where to go on}.
 */
export const adoptEntries = defineFencedScript(`
local rows = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[3], '+', ARGV[4])
local entries, deleted = {}, 0
for _, row in ipairs(rows) do
  redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, row[1], 'JUSTID')
  local entry = redis.call('XRANGE', KEYS[1], row[1], row[1])[1]
  if entry then
    if ARGV[5] == '1' then redis.call('ZREM', KEYS[2], row[1]) end
    if ARGV[5] == '1' or not redis.call('ZSCORE', KEYS[2], row[1]) then entries[#entries + 1] = entry end
  else
    redis.call('XACK', KEYS[1], ARGV[1], row[1])
    redis.call('ZREM', KEYS[2], row[1])
    redis.call('HDEL', KEYS[3], row[1])
    deleted = deleted + 1
  end
end
return {entries, deleted, #rows == tonumber(ARGV[4]) and '(' .. rows[#rows][1] or ''}`);
