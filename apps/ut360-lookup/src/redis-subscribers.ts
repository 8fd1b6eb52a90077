import { defineScript, sendByNode } from '@millrace/redis-kit';
import type { KeyedCommand, Keys, Redis, SubscriberKeys } from '@millrace/redis-kit';
import type { EncodedSubscriber, Pointer } from '@millrace/subscribers';

export interface RedisAnswer {
  /** The pointer's text; null where there is none. */
  readonly pointer: string | null;
  /** In the order of the question; null: not there. */
  readonly bodies: readonly (string | null)[];
  readonly months: readonly (string | null)[];
}

const textOf = (reply: unknown): string | null => (typeof reply === 'string' ? reply : null);
const textsOf = (reply: unknown): (string | null)[] => (Array.isArray(reply) ? reply.map(textOf) : []);

/** The usual question: one subscriber, one round trip. */
async function readOne(redis: Redis, keys: Keys, { names, isdn, withMonths }: { readonly names: SubscriberKeys; readonly isdn: string; readonly withMonths: boolean }): Promise<RedisAnswer> {
  // Both are on their way before the first is answered, and on one node.
  const [texts, months] = await Promise.all([redis.mget(keys.subscriberPointer(isdn), names.body(isdn)), withMonths ? redis.hget(names.profile(isdn), 'monthly_arpu') : null]);
  return { pointer: texts[0] ?? null, bodies: [texts[1] ?? null], months: withMonths ? [months] : [] };
}

/** Bodies (and months) of subscribers of one generation, and the pointer of the same moment: one round trip a node. */
export async function readFromRedis(redis: Redis, keys: Keys, { generation, isdns, withMonths }: { readonly generation: number; readonly isdns: readonly string[]; readonly withMonths: boolean }): Promise<RedisAnswer> {
  const names = keys.subscribers(generation);
  const [only] = isdns;
  if (isdns.length === 1 && only !== undefined) return await readOne(redis, keys, { names, isdn: only, withMonths });
  // One bucket on a single server.
  const buckets = keys.subscriberPointers.length === 1 ? [[...isdns.keys()]] : [...Map.groupBy(isdns.keys(), (at) => keys.subscriberBucket(isdns[at] ?? '')).values()];
  const commands = buckets.map((places): KeyedCommand => {
    const pointer = keys.subscriberPointer(isdns[places[0] ?? 0] ?? '');
    return { key: pointer, name: 'MGET', args: [pointer, ...places.map((at) => names.body(isdns[at] ?? ''))] };
  });
  const monthCommands = withMonths ? isdns.map((isdn): KeyedCommand => ({ key: names.profile(isdn), name: 'HGET', args: [names.profile(isdn), 'monthly_arpu'] })) : [];
  const replies = await sendByNode(redis, [...commands, ...monthCommands]);
  const bodies: (string | null)[] = Array.from({ length: isdns.length }, () => null);
  let pointer: string | null = null;
  for (const [bucket, places] of buckets.entries()) {
    const [first = null, ...texts] = textsOf(replies[bucket]);
    pointer = first;
    for (const [at, place] of places.entries()) bodies[place] = texts[at] ?? null;
  }
  return { pointer, bodies, months: monthCommands.map((_command, at) => textOf(replies[commands.length + at])) };
}

/** Which of them Postgres was asked for in vain, a short time ago. */
export async function readAbsent(redis: Redis, keys: Keys, generation: number, isdns: readonly string[]): Promise<boolean[]> {
  const names = keys.subscribers(generation);
  const replies = await sendByNode(redis, isdns.map((isdn) => ({ key: names.absent(isdn), name: 'EXISTS', args: [names.absent(isdn)] })));
  return replies.map((reply) => reply === 1);
}

/** Only while the pointer is the one that was resolved: a late fill must bring neither keys of a removed generation back nor a subscriber who was erased meanwhile. */
const fillIfLive = defineScript(`
local pointer = redis.call('GET', KEYS[1])
if not pointer then return 0 end
local ok, known = pcall(cjson.decode, pointer)
if not ok or type(known) ~= 'table' or tonumber(known.version) ~= tonumber(ARGV[1]) then return 0 end
redis.call('SET', KEYS[2], ARGV[3], 'EX', ARGV[2])
if #KEYS > 2 then
  local fields = {}
  for i = 4, #ARGV do fields[#fields + 1] = ARGV[i] end
  redis.call('HSET', KEYS[3], unpack(fields))
  redis.call('EXPIRE', KEYS[3], ARGV[2])
end
return 1`);

const FILLED_SECONDS = 3_600;
const ABSENT_SECONDS = 60;
/** Up to a tenth more or less, so that what was filled together does not go together. */
const jitter = (seconds: number): number => Math.round(seconds * (0.9 + Math.random() / 5));

/** What Postgres knew, for the next reader. True where it was stored. */
export async function fill(redis: Redis, keys: Keys, { redis: generation, version }: Pick<Pointer, 'redis' | 'version'>, { isdn, body, profile }: Pick<EncodedSubscriber, 'isdn' | 'body' | 'profile'>): Promise<boolean> {
  const names = keys.subscribers(generation);
  return (await fillIfLive(redis, [keys.subscriberPointer(isdn), names.body(isdn), names.profile(isdn)], [version, jitter(FILLED_SECONDS), body, ...profile])) === 1;
}

/** That Postgres knew nothing. */
export async function fillAbsent(redis: Redis, keys: Keys, { redis: generation, version }: Pick<Pointer, 'redis' | 'version'>, isdn: string): Promise<boolean> {
  return (await fillIfLive(redis, [keys.subscriberPointer(isdn), keys.subscribers(generation).absent(isdn)], [version, jitter(ABSENT_SECONDS), '1'])) === 1;
}
