import { randomUUID } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { asFields, asText } from '@millrace/redis-kit';
import type { Keys, TopicKeys } from '@millrace/redis-kit';
import type { Redis } from 'ioredis';
import { changeLayout, endDraining, isDrained, openLayout } from './scripts/layout.ts';

/**
 * Partitions `first` to `first + count - 1` of a topic. Another count gets other numbers, never used before, so that a publisher that still
 * believes in the old ones cannot append to a new partition; only the bare name (one partition, single instance) may come back.
 */
export interface PartitionSet {
  readonly first: number;
  readonly count: number;
}

/** Where a topic's events are. */
export interface Layout {
  /** Of this Redis' data: another one after a flush. */
  readonly id: string;
  /** Where publishers append. */
  readonly current: PartitionSet;
  /** Consumed to its end before the current one. */
  readonly draining: PartitionSet | undefined;
  /** The first number that no partition of this topic ever had. */
  readonly next: number;
}

/** The configured number of partitions is not the topic's. */
export class PartitionMismatchError extends Error {
  override readonly name = 'PartitionMismatchError';
  readonly code = 'partition_mismatch';
}

/** The partition of a key, from 0: CRC-32 (ISO 3309) of its UTF-8 bytes, modulo the count. The same in every publisher and the outbox relay. */
export const partitionOf = (key: string, count: number): number => (count === 1 ? 0 : crc32(key) % count);

/** Keys of each partition of a set, in order. */
export const keysOf = (keys: Keys, topic: string, { first, count }: PartitionSet): readonly TopicKeys[] =>
  Array.from({ length: count }, (_, index) => keys.topic(topic, first + index, count));

const describeSet = ({ first, count }: PartitionSet): string => `${first}:${count}`;

/**
 * The layout of a topic, made with `wanted` partitions (else one) where there is none.
 * @throws PartitionMismatchError where `wanted` is not what the topic has.
 */
export async function readLayout(redis: Redis, keys: Keys, topic: string, wanted?: number): Promise<Layout> {
  const meta = keys.topicMeta(topic);
  // A stream from before there were layouts is one partition.
  const isNew = wanted !== undefined && wanted > 1 && (await redis.exists(meta)) === 0 && (await redis.exists(keys.topic(topic).stream)) === 0;
  const made = isNew ? wanted : 1;
  const fields = asFields(await openLayout(redis, [meta], [randomUUID(), made, isBare(keys, topic, made) ? 0 : made]));
  const count = Number(fields.get('partitions'));
  if (wanted !== undefined && wanted !== count)
    throw new PartitionMismatchError(`the topic ${topic} has ${count} partitions and this service is configured for ${wanted}: run "millrace streams repartition ${topic} ${wanted}", or correct BUS_PARTITIONS`);
  const [first, drainingCount] = asText(fields.get('draining') ?? '').split(':').map(Number);
  const draining = first !== undefined && drainingCount !== undefined ? { first, count: drainingCount } : undefined;
  return { id: asText(fields.get('id')), current: { first: Number(fields.get('first')), count }, draining, next: Number(fields.get('next')) };
}

/** One partition on a single instance: the stream has the topic's own name. */
const isBare = (keys: Keys, topic: string, count: number): boolean => keys.topic(topic, 0, count).stream === topic;

/** Marks the streams of the draining set: from now on every append to them is refused, and publishers look for the new set. */
async function closeDraining(redis: Redis, keys: Keys, topic: string, { current, draining }: Layout): Promise<void> {
  if (!draining) return;
  for (const { closed } of keysOf(keys, topic, draining)) await redis.set(closed, describeSet(current));
}

/**
 * Gives the topic `count` partitions: publishers append to the new ones from now on, consumers finish the old ones first, so that the order of
 * each key is kept. Safe to repeat after a crash. Returns the layout.
 * @throws PartitionMismatchError where an earlier change is still draining.
 */
export async function repartition(redis: Redis, keys: Keys, topic: string, count: number): Promise<Layout> {
  const layout = await readLayout(redis, keys, topic);
  if (layout.current.count === count) {
    await closeDraining(redis, keys, topic, layout);
    return layout;
  }
  if (layout.draining) throw new PartitionMismatchError(`the topic ${topic} is still draining its ${layout.draining.count} old partitions: wait until "millrace streams" shows none`);
  const { current } = layout;
  const next = isBare(keys, topic, count) ? { first: 0, count } : { first: layout.next, count };
  // The bare name may have been closed before.
  if (isBare(keys, topic, count)) await redis.unlink(keys.topic(topic).closed);
  const used = isBare(keys, topic, count) ? layout.next : next.first + count;
  const changed = await changeLayout(redis, [keys.topicMeta(topic)], [layout.id, current.first, current.count, next.first, next.count, used]);
  if (changed !== 1) throw new PartitionMismatchError(`the partitions of ${topic} were changed by somebody else at the same time: look again`);
  const after = { ...layout, current: next, draining: current, next: used };
  await closeDraining(redis, keys, topic, after);
  return after;
}

/** Has the group (undefined: has every group) finished these partitions, which are closed? */
export async function isSetDrained(redis: Redis, keys: Keys, topic: string, { set, group = '' }: { readonly set: PartitionSet; readonly group?: string }): Promise<boolean> {
  for (const { stream, closed } of keysOf(keys, topic, set)) if ((await isDrained(redis, [stream, closed], [group])) !== 1) return false;
  return true;
}

/** Removes the old partitions once every group has finished them; their dead letters stay. Closes them first where a repartitioning was cut short. */
export async function finishDraining(redis: Redis, keys: Keys, topic: string): Promise<void> {
  const layout = await readLayout(redis, keys, topic);
  if (!layout.draining) return;
  await closeDraining(redis, keys, topic, layout);
  if (!(await isSetDrained(redis, keys, topic, { set: layout.draining }))) return;
  for (const of of keysOf(keys, topic, layout.draining)) await removeStream(redis, of);
  await endDraining(redis, [keys.topicMeta(topic)], [describeSet(layout.draining)]);
}

/** The mark that it is closed stays for good: a publisher may still believe in it. */
async function removeStream(redis: Redis, of: TopicKeys): Promise<void> {
  const groups = (await redis.exists(of.stream)) === 1 ? await redis.xinfo('GROUPS', of.stream) : [];
  const names = (Array.isArray(groups) ? groups : []).map((group: unknown) => asText(asFields(group).get('name')));
  for (const group of names) await redis.unlink(of.attempts(group), of.bootstrapped(group), of.bootstrapping(group), of.delayed(group), of.lease(group), of.fence(group), of.members(group));
  await redis.unlink(of.stream, of.epoch, of.progress, of.recentIds);
}
