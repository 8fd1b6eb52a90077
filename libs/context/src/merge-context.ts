import { defineScript, isCluster } from '@millrace/redis-kit';
import type { Keys, Redis } from '@millrace/redis-kit';
import { readOne } from './read-context.ts';
import { MAX_CATEGORIES, MAX_ITEMS, MERGED_MS, userKeyList } from './scripts.ts';

/**
 * KEYS the target's, then those of the one that is merged, where they are on the same server: they go in the same step, and nothing is added where the
 * first of them is gone. ARGV nowMs, ttlMs, last active, number of items, their times and names, number of purchases, the same, then categories and counts.
 * Each item has its newest time, the counts are added, the largest are kept.
 */
const addContext = defineScript(`
if KEYS[6] and redis.call('EXISTS', KEYS[6]) == 0 then return 0 end
local now, ttlMs, last, at = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), 4
local own = tonumber(redis.call('GET', KEYS[3]) or '0')
if own > last then last = own end
if last <= now - ttlMs then return 0 end
local ends = string.format('%.0f', last + ttlMs)
local function add(key)
  local count = tonumber(ARGV[at])
  for i = 1, count do redis.call('ZADD', key, 'GT', ARGV[at + 2 * i - 1], ARGV[at + 2 * i]) end
  at = at + 1 + 2 * count
  redis.call('ZREMRANGEBYRANK', key, 0, -${MAX_ITEMS + 1})
  redis.call('PEXPIREAT', key, ends)
end
add(KEYS[1])
add(KEYS[4])
for i = at, #ARGV, 2 do redis.call('HINCRBY', KEYS[2], ARGV[i], ARGV[i + 1]) end
local all, counts = redis.call('HGETALL', KEYS[2]), {}
for i = 1, #all, 2 do counts[#counts + 1] = {all[i], tonumber(all[i + 1])} end
table.sort(counts, function(a, b) return a[2] > b[2] end)
for i = ${MAX_CATEGORIES + 1}, #counts do redis.call('HDEL', KEYS[2], counts[i][1]) end
redis.call('PEXPIREAT', KEYS[2], ends)
redis.call('SET', KEYS[3], string.format('%.0f', last), 'PXAT', ends)
if KEYS[6] then redis.call('UNLINK', unpack(KEYS, 6)) end
return 1`);

/** From now on events and reads of `from` go to `to`, for 30 days: later ones are led there by Postgres. An id is never merged into one that was merged itself: the caller resolves it. */
export async function setMergedInto(redis: Redis, keys: Keys, { from, to }: Merge): Promise<void> {
  await redis.set(keys.user(from).mergedInto, to, 'PX', MERGED_MS);
}

export interface Merge {
  readonly from: string;
  readonly to: string;
}

/**
 * Adds the context of `from` to that of `to` and removes it; nothing where there is none. After `setMergedInto`, or new events of `from` are missed.
 * To be repeated until it resolves: one step on a single instance. On Cluster it is added first and removed then, so a repetition in between counts its categories again.
 */
export async function mergeContext(redis: Redis, keys: Keys, { from, to, ttlSeconds }: Merge & { readonly ttlSeconds: number }): Promise<void> {
  const of = keys.user(from);
  const { context: source } = await readOne(redis, keys, from);
  if (source.lastActive === undefined) return;
  const items = [source.recentItems, source.recentPurchases].flatMap((list) => [list.length, ...list.flatMap(({ asin, at }) => [at, asin])]);
  const categories = [...source.recentCategories].flat();
  const merged = [of.lastActive, of.recentItems, of.recentCategories, of.recentPurchases];
  await addContext(redis, [...userKeyList(keys.user(to)), ...(isCluster(redis) ? [] : merged)], [Date.now(), ttlSeconds * 1_000, source.lastActive, ...items, ...categories]);
  if (isCluster(redis)) await redis.unlink(...merged);
}
