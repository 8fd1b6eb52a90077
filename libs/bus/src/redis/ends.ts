import { asFields, asList, asText, compareStreamIds } from '@millrace/redis-kit';
import type { Keys, Redis } from '@millrace/redis-kit';
import type { BusPositions } from '../managed-bus.ts';
import { keysOf, peekLayout } from './layout.ts';

/** Stream -> id of its last entry, for each partition of a topic that has one. */
export type StreamEnds = Readonly<Record<string, string>>;

/** Where the topic ends now: whatever is appended after this call has started has a later id, or is in a stream that is not named. */
export async function readEnds(redis: Redis, keys: Keys, topic: string): Promise<StreamEnds> {
  const { current, draining } = await peekLayout(redis, keys, topic);
  const streams = [...(draining ? keysOf(keys, topic, draining) : []), ...keysOf(keys, topic, current)].map(({ stream }) => stream);
  const ends: Record<string, string> = {};
  for (const stream of streams) {
    if ((await redis.exists(stream)) === 1) ends[stream] = asText(asFields(await redis.xinfo('STREAM', stream)).get('last-generated-id'));
  }
  return ends;
}

/** Has the group acknowledged (or parked) every entry up to these ends? A stream that is gone has nothing left to wait for; a group that does not exist has passed nothing. */
export async function hasPassed(redis: Redis, group: string, ends: StreamEnds): Promise<boolean> {
  for (const [stream, end] of Object.entries(ends)) if (!(await hasPassedOne(redis, stream, { group, end }))) return false;
  return true;
}

async function hasPassedOne(redis: Redis, stream: string, { group, end }: { readonly group: string; readonly end: string }): Promise<boolean> {
  if ((await redis.exists(stream)) === 0) return true;
  const info = asList(await redis.xinfo('GROUPS', stream)).map(asFields).find((fields) => fields.get('name') === group);
  if (info === undefined) return false;
  const delivered = asText(info.get('last-delivered-id'));
  // Trimmed or deleted ones between the two will never be delivered.
  if (compareStreamIds(delivered, end) < 0 && asList(await redis.xrange(stream, `(${delivered}`, end, 'COUNT', 1)).length > 0) return false;
  // After the delivered ones: what was delivered before is pending now, or acknowledged.
  const oldest = asList(await redis.xpending(stream, group))[1];
  return typeof oldest !== 'string' || compareStreamIds(oldest, end) > 0;
}

/** The positions of a bus on Redis by themselves: for whoever has no bus. */
export const createRedisPositions = (redis: Redis, keys: Keys): BusPositions => ({
  layout: ({ name }) => peekLayout(redis, keys, name),
  ends: ({ name }) => readEnds(redis, keys, name),
  hasPassed: (group, ends) => hasPassed(redis, group, ends),
});
