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
 * Lua: remembers one event in the context of its user, 'live' or 'old'. Every time is in milliseconds. An item has the time of its newest event, so an
 * older event never moves it; the context ends \`ttlMs\` after its newest event; an event older than that stays out. Of two events in one millisecond
 * the later call is the newer. A time ahead of now counts as now. A full set of categories gives up one of its smallest counts.
 */
const REMEMBER = `
local function remember(now, ttlMs, items, categories, lastActive, purchases, asin, at, category, isPurchase, isAgain)
  if at > now then at = now end
  if at <= now - ttlMs then return 'old' end
  local last = tonumber(redis.call('GET', lastActive) or '0')
  if at == last then at = last + 1 end
  if at > last then last = at end
  local ends = last + ttlMs
  redis.call('SET', lastActive, last, 'PXAT', ends)
  redis.call('ZADD', items, 'GT', at, asin)
  redis.call('ZREMRANGEBYRANK', items, 0, -${MAX_ITEMS + 1})
  redis.call('PEXPIREAT', items, ends)
  if isPurchase then
    redis.call('ZADD', purchases, 'GT', at, asin)
    redis.call('ZREMRANGEBYRANK', purchases, 0, -${MAX_ITEMS + 1})
  end
  redis.call('PEXPIREAT', purchases, ends)
  if category ~= '' and not isAgain and redis.call('HINCRBY', categories, category, 1) == 1 and redis.call('HLEN', categories) > ${MAX_CATEGORIES} then
    local all, least = redis.call('HGETALL', categories), nil
    for i = 1, #all, 2 do
      if all[i] ~= category and (not least or tonumber(all[i + 1]) < least.count) then least = {name = all[i], count = tonumber(all[i + 1])} end
    end
    redis.call('HDEL', categories, least.name)
  end
  redis.call('PEXPIREAT', categories, ends)
  return 'live'
end`;

/**
 * KEYS stream, mark, recent ids, epoch, erasures, then of each event its user's keys (none: the context is not written here); ARGV layout id, nowMs, dedupMs, ttlMs,
 * an epoch for a stream that has none, number of user keys an event, erasures that the caller knows of, number of fields, place of the id and of the asin among them, their names, then each
 * event's values ('' = left out) and its time, category ('' = unknown) and '1' for a purchase.
 *
 * Each event in turn: refused where its user was merged ('to:<id>'), dropped where its id came within dedupMs ('duplicate'), else appended, and then
 * remembered: 'live', 'old', or 'broken' where the user's keys are not what they should be. {epoch, outcomes...}, 'moved' where the partition is
 * not open for this layout, or the number of erasures where there are more than the caller knows of: then nothing is done.
 */
export const appendAndRemember = defineScript(`${REMEMBER}
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 'moved' end
local erased = redis.call('GET', KEYS[5])
if erased and tonumber(erased) > tonumber(ARGV[7]) then return tonumber(erased) end
local call, values = redis.call, ARGV
local now, dedupMs, ttlMs, userKeys = tonumber(values[2]), tonumber(values[3]), tonumber(values[4]), tonumber(values[6])
local width, idAt, asinAt = tonumber(values[8]), tonumber(values[9]), tonumber(values[10])
local epoch = call('GET', KEYS[4])
if not epoch then
  epoch = values[5]
  call('SET', KEYS[4], epoch)
end
local reply, key, entry = {epoch}, 6, {'XADD', KEYS[1], '*'}
for i = 11 + width, #values, width + 3 do
  local merged = userKeys > 0 and call('GET', KEYS[key + 4])
  local outcome
  if merged then
    outcome = 'to:' .. merged
  elseif call('ZADD', KEYS[3], 'NX', now, values[i + idAt]) == 0 then
    outcome = 'duplicate'
  else
    local n = 3
    for j = 0, width - 1 do
      local value = values[i + j]
      if value ~= '' then
        entry[n + 1] = values[11 + j]
        entry[n + 2] = value
        n = n + 2
      end
    end
    call(unpack(entry, 1, n))
    outcome = 'appended'
    if userKeys > 0 then
      local isDone, said = pcall(remember, now, ttlMs, KEYS[key], KEYS[key + 1], KEYS[key + 2], KEYS[key + 3], values[i + asinAt], tonumber(values[i + width]), values[i + width + 1], values[i + width + 2] == '1', false)
      outcome = isDone and said or 'broken'
    end
  end
  key = key + userKeys
  reply[#reply + 1] = outcome
end
local old = call('ZRANGEBYSCORE', KEYS[3], '-inf', now - dedupMs, 'LIMIT', 0, 2 * #reply)
if #old > 0 then call('ZREM', KEYS[3], unpack(old)) end
return reply`);

/** The second call on Cluster. KEYS the user's; ARGV nowMs, ttlMs, asin, time, category, '1' for a purchase, '1' where the event was appended before. 'live', 'old', 'broken' or 'to:<id>'. */
export const rememberOnly = defineScript(`${REMEMBER}
local merged = redis.call('GET', KEYS[5])
if merged then return 'to:' .. merged end
local isDone, said = pcall(remember, tonumber(ARGV[1]), tonumber(ARGV[2]), KEYS[1], KEYS[2], KEYS[3], KEYS[4], ARGV[3], tonumber(ARGV[4]), ARGV[5], ARGV[6] == '1', ARGV[7] == '1')
return isDone and said or 'broken'`);

/** KEYS recent ids; ARGV the oldest time that stays. Forgets up to 500 older ids; returns how many. */
export const forgetIds = defineScript(`
local old = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, 500)
if #old > 0 then redis.call('ZREM', KEYS[1], unpack(old)) end
return #old`, { whenFull: 'run' });
