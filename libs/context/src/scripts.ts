import { defineScript } from '@millrace/redis-kit';
import type { UserKeys } from '@millrace/redis-kit';

/** Items and purchases that a context keeps. */
export const MAX_ITEMS = 20;
/** Categories that a context counts. */
export const MAX_CATEGORIES = 50;
/** Where a user id was merged: this long Redis itself knows it; Postgres always does. */
export const MERGED_MS = 30 * 86_400_000;

/** The keys of a user, in the order that the scripts take them. */
export const userKeyList = (of: UserKeys): readonly string[] => [of.recentItems, of.recentCategories, of.lastActive, of.recentPurchases, of.mergedInto];
export const USER_KEYS = 5;

/**
 * Lua: remembers one event in the context of its user: 'live' or 'old', and the user's last activity then. Every time is in milliseconds; `at` is not
 * ahead of now and `ends` is `at + ttlMs`, both as text, because Redis takes longer over numbers. `last` is the user's last activity so far, 0 for none.
 *
 * An item has the time of its newest event, so an older event never moves it; the context ends `ttlMs` after its newest event; an event older than that
 * stays out. Of two events in one millisecond the later call is the newer. A full set of categories gives up one of its smallest counts. `GET` of `SET`
 * refuses a key of another kind.
 */
const REMEMBER = `
local function remember(oldest, ttlMs, items, categories, lastActive, purchases, asin, at, ends, category, isPurchase, hasPurchases, isAgain, last)
  local time = tonumber(at)
  if time <= oldest then return 'old', last end
  if time == last then
    time = last + 1
    at, ends = string.format('%.0f', time), string.format('%.0f', time + ttlMs)
  elseif time < last then
    ends = string.format('%.0f', last + ttlMs)
  end
  if time > last then
    redis.call('SET', lastActive, at, 'PXAT', ends, 'GET')
    last = time
  end
  if redis.call('ZADD', items, 'GT', at, asin) == 1 then redis.call('ZREMRANGEBYRANK', items, 0, -${MAX_ITEMS + 1}) end
  redis.call('PEXPIREAT', items, ends)
  if isPurchase and redis.call('ZADD', purchases, 'GT', at, asin) == 1 then redis.call('ZREMRANGEBYRANK', purchases, 0, -${MAX_ITEMS + 1}) end
  if isPurchase or hasPurchases then redis.call('PEXPIREAT', purchases, ends) end
  if category ~= '' and not isAgain and redis.call('HINCRBY', categories, category, 1) == 1 and redis.call('HLEN', categories) > ${MAX_CATEGORIES} then
    local all, least = redis.call('HGETALL', categories), nil
    for i = 1, #all, 2 do
      if all[i] ~= category and (not least or tonumber(all[i + 1]) < least.count) then least = {name = all[i], count = tonumber(all[i + 1])} end
    end
    redis.call('HDEL', categories, least.name)
  end
  redis.call('PEXPIREAT', categories, ends)
  return 'live', last
end`;

/**
 * KEYS stream, mark, recent ids, epoch, erasures, then of each event its user's keys (none: the context is not written here); ARGV layout id, nowMs,
 * the oldest time of an id that counts, ttlMs, an epoch for a stream that has none, number of user keys an event, erasures that the caller knows of,
 * number of fields, place of the id and of the asin among them, the newest time that is too old for a context, their names, then each event's values
 * ('' = left out) and its time, the end of a context that begins then, category ('' = unknown) and '1' for a purchase.
 *
 * Each event in turn: dropped where its id is known ('duplicate'), refused where its user was merged ('to:<id>'), else appended, and then remembered:
 * 'live', 'old', or 'broken' where the user's keys are not what they should be. {epoch, outcomes...}, 'moved' where the partition is not open for
 * this layout, or the number of erasures where there are more than the caller knows of: then nothing is done. What can be asked for all events at once
 * is asked at once: a call costs more than what it does. Ids are noted behind the entries: where an append fails they may come again.
 */
export const appendAndRemember = defineScript(`${REMEMBER}
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 'moved' end
local erased = redis.call('GET', KEYS[5])
if erased and tonumber(erased) > tonumber(ARGV[7]) then return tonumber(erased) end
local call, keys, values = redis.call, KEYS, ARGV
local ttlMs, userKeys, width, idAt, asinAt, oldest = tonumber(values[4]), tonumber(values[6]), tonumber(values[8]), tonumber(values[9]), tonumber(values[10]), tonumber(values[11])
local epoch = call('GET', keys[4])
if not epoch then
  epoch = values[5]
  call('SET', keys[4], epoch)
end
local first, step, ids = 12 + width, width + 4, {}
for i = first, #values, step do ids[#ids + 1] = values[i + idAt] end
local isKnown, users, last, hasPurchases = call('ZMSCORE', keys[3], unpack(ids)), nil, {}, false
if userKeys > 0 then
  local asked, purchases = {}, {}
  for k = 6, #keys, userKeys do
    asked[#asked + 1] = keys[k + 4]
    asked[#asked + 1] = keys[k + 2]
    purchases[#purchases + 1] = keys[k + 3]
  end
  users = call('MGET', unpack(asked))
  hasPurchases = call('EXISTS', unpack(purchases)) > 0
end
local reply, key, entry, noted = {epoch}, 6, {'XADD', keys[1], '*'}, {'ZADD', keys[3], 'NX'}
for at = 1, #ids do
  local i, id, merged, outcome = first + (at - 1) * step, ids[at], users and users[2 * at - 1], nil
  if isKnown[at] or ids[id] then
    -- Before the merge: the partition of the one that it became may be another, with ids of its own.
    outcome = 'duplicate'
  elseif merged then
    outcome = 'to:' .. merged
  else
    local n = 3
    for j = 0, width - 1 do
      local value = values[i + j]
      if value ~= '' then
        entry[n + 1] = values[12 + j]
        entry[n + 2] = value
        n = n + 2
      end
    end
    call(unpack(entry, 1, n))
    ids[id] = true
    noted[#noted + 1] = values[2]
    noted[#noted + 1] = id
    outcome = 'appended'
    if users then
      local user, isPurchase = keys[key + 2], values[i + width + 3] == '1'
      hasPurchases = hasPurchases or isPurchase
      local isDone, said, newest = pcall(remember, oldest, ttlMs, keys[key], keys[key + 1], user, keys[key + 3], values[i + asinAt], values[i + width], values[i + width + 1], values[i + width + 2], isPurchase, hasPurchases, false, last[user] or tonumber(users[2 * at] or '0'))
      outcome = isDone and said or 'broken'
      if isDone then last[user] = newest end
    end
  end
  key = key + userKeys
  reply[#reply + 1] = outcome
end
if #noted > 3 then call(unpack(noted)) end
local old = call('ZRANGEBYSCORE', keys[3], '-inf', values[3], 'LIMIT', 0, 2 * #reply)
if #old > 0 then call('ZREM', keys[3], unpack(old)) end
return reply`);

/** The second call on Cluster. KEYS the user's; ARGV the newest time that is too old, ttlMs, asin, time, the end of a context that begins then, category, '1' for a purchase, '1' where the event was appended before. 'live', 'old', 'broken' or 'to:<id>'. */
export const rememberOnly = defineScript(`${REMEMBER}
local merged = redis.call('GET', KEYS[5])
if merged then return 'to:' .. merged end
local isDone, said = pcall(function()
  return (remember(tonumber(ARGV[1]), tonumber(ARGV[2]), KEYS[1], KEYS[2], KEYS[3], KEYS[4], ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7] == '1', true, ARGV[8] == '1', tonumber(redis.call('GET', KEYS[3]) or '0')))
end)
return isDone and said or 'broken'`);

/** KEYS recent ids; ARGV the oldest time that stays. Forgets up to 500 older ids; returns how many. */
export const forgetIds = defineScript(`
local old = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, 500)
if #old > 0 then redis.call('ZREM', KEYS[1], unpack(old)) end
return #old`, { whenFull: 'run' });
