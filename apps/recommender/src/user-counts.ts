import { encodeHistory, mergeHistories } from '@millrace/ranking';
import { asText, defineScript } from '@millrace/redis-kit';
import type { Keys, Redis } from '@millrace/redis-kit';
import { z } from 'zod';
import { readHistory } from './count-changes.ts';
import { FIRST_GENERATION, partitionKeys } from './count-keys.ts';
import type { CountKeys, PartitionKeys } from './count-keys.ts';

export interface UserCountsDeps {
  readonly redis: Redis;
  readonly keys: Keys;
  /** All that have counts. */
  readonly partitions: () => Promise<readonly number[]>;
  readonly ttlSeconds: number;
}

const changeSchema = z.union([z.object({ forget: z.string() }), z.object({ from: z.string(), to: z.string() })]);
type UserChange = z.output<typeof changeSchema>;

/**
 * KEYS generation, building, user changes, tail, user moves, the user's key; ARGV generation as read, the change. Answers how many keys went and whether a generation is being built (1 or 0),
 * or "moved". What a builder that died has left beside it goes, too.
 */
const forgetOne = defineScript(`
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 'moved' end
local building = redis.call('EXISTS', KEYS[2])
if building == 1 then redis.call('RPUSH', KEYS[3], ARGV[2]) else redis.call('UNLINK', KEYS[3], KEYS[4]) end
redis.call('INCR', KEYS[5])
return { redis.call('UNLINK', KEYS[6]), building }
`, { whenFull: 'run' });

/**
 * KEYS from, to, and with a generation four more: generation, building, user changes, user moves; ARGV both texts as read ("" = absent), the merged one, time to live, generation as read, the change.
 * Answers "ok", or "moved" where something is another now.
 */
const moveOne = defineScript(`
if #KEYS > 2 and (redis.call('GET', KEYS[3]) or '') ~= ARGV[5] then return 'moved' end
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] or (redis.call('GET', KEYS[2]) or '') ~= ARGV[2] then return 'moved' end
if #KEYS > 2 and redis.call('EXISTS', KEYS[4]) == 1 then redis.call('RPUSH', KEYS[5], ARGV[6]) end
if #KEYS > 2 then redis.call('INCR', KEYS[6]) end
if ARGV[1] ~= '' then
  redis.call('SET', KEYS[2], ARGV[3], 'EX', ARGV[4])
  redis.call('UNLINK', KEYS[1])
end
return 'ok'
`);

/** Tries until nothing has changed between reading and writing. */
async function untilStill<T>(tryOnce: () => Promise<T | 'moved'>): Promise<T> {
  for (let tried = 0; tried < 1_000; tried += 1) {
    const result = await tryOnce();
    if (result !== 'moved') return result;
  }
  throw new Error('the counts of a user change too often');
}

/** How many partitions have a history of this user. */
export async function findUserCounts({ redis, keys, partitions }: UserCountsDeps, userId: string): Promise<number> {
  let found = 0;
  for (const partition of await partitions()) {
    const of = partitionKeys(keys, partition);
    found += await redis.exists(of.of((await redis.get(of.generation)) ?? FIRST_GENERATION).user(userId));
  }
  return found;
}

export interface Forgotten {
  /** Keys that went. */
  readonly erased: number;
  /** Partitions whose counts are being built: until that is over, what is kept for it names the user. */
  readonly due: number;
}

/**
 * Removes the history of a user from every partition, from counts that are being built, and from replaced ones. Safe to repeat, and to be repeated while something is due. What the user added to the
 * counts of items stays until the next rebuild, without a name. Their events must have ended before (the caller's `erased`).
 */
export async function forgetUserCounts({ redis, keys, partitions }: UserCountsDeps, userId: string): Promise<Forgotten> {
  let [erased, due] = [0, 0];
  for (const partition of await partitions()) {
    const of = partitionKeys(keys, partition);
    const [removed, building] = await untilStill(async () => {
      const generation = (await redis.get(of.generation)) ?? '';
      const names = [of.generation, of.building, of.userChanges, of.tail, of.userMoves, liveOf(of, generation).user(userId)];
      const reply = await forgetOne(redis, names, [generation, JSON.stringify({ forget: userId } satisfies UserChange)]);
      return Array.isArray(reply) ? reply.map(Number) : 'moved';
    });
    erased += removed ?? 0;
    due += building ?? 0;
    // Replaced ones, and those of builders that died, are still there for a while: nothing is written to them any more.
    for (const generation of await redis.zrange(of.generations, '0', '-1')) erased += await redis.unlink(of.of(generation).user(userId));
  }
  return { erased, due };
}

/** Makes the history of `from` a part of the one of `to`, in every partition, and in counts that are being built. Safe to repeat. */
export async function moveUserCounts({ redis, keys, partitions, ttlSeconds }: UserCountsDeps, change: { readonly from: string; readonly to: string }): Promise<void> {
  for (const partition of await partitions()) {
    const of = partitionKeys(keys, partition);
    await untilStill(async () => {
      const generation = (await redis.get(of.generation)) ?? '';
      return await moveIn({ redis, of: liveOf(of, generation), ttlSeconds }, change, { of, generation });
    });
  }
}

const liveOf = (of: PartitionKeys, generation: string): CountKeys => of.of(generation === '' ? FIRST_GENERATION : generation);

interface Place { readonly redis: Redis; readonly of: CountKeys; readonly ttlSeconds: number }

async function moveIn({ redis, of, ttlSeconds }: Place, change: { readonly from: string; readonly to: string }, live?: { readonly of: PartitionKeys; readonly generation: string }): Promise<'ok' | 'moved'> {
  const names = [of.user(change.from), of.user(change.to)];
  const [from = null, to = null] = await redis.mget(...names);
  const merged = encodeHistory(mergeHistories([readHistory(to), readHistory(from)]));
  const more = live === undefined ? [] : [live.of.generation, live.of.building, live.of.userChanges, live.of.userMoves];
  return asText(await moveOne(redis, [...names, ...more], [from ?? '', to ?? '', merged, ttlSeconds, live?.generation ?? '', JSON.stringify(change satisfies UserChange)])) === 'ok' ? 'ok' : 'moved';
}

/** Does to a generation that is being built what was done to the live one. */
export async function applyUserChange(place: Place, text: string): Promise<void> {
  const change = changeSchema.parse(JSON.parse(text));
  if ('forget' in change) await place.redis.unlink(place.of.user(change.forget));
  else await untilStill(() => moveIn(place, change));
}
