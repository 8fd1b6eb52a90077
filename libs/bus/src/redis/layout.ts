import { randomUUID } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { asFields, asList, asText } from '@millrace/redis-kit';
import type { Keys, Redis, TopicKeys } from '@millrace/redis-kit';
import { carryGroup, NEEDS_BOOTSTRAP } from './scripts/group.ts';
import { changeLayout, CLOSED, endDraining, isDrained, openLayout, openPartition } from './scripts/layout.ts';
import { whileThere } from './while-there.ts';

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
  /** Another one after Redis was flushed: what publishers believe from before is refused. */
  readonly id: string;
  /** Where publishers append. */
  readonly current: PartitionSet;
  /** Consumed to its end before the current one. */
  readonly draining: PartitionSet | undefined;
  /** Finished by every group, and being removed. */
  readonly drained: PartitionSet | undefined;
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

/** Reads BUS_PARTITIONS: `product:updates=4,searches=2`. Checked where the configuration is parsed. */
export const parsePartitions = (text: string | undefined): Readonly<Record<string, number>> =>
  Object.fromEntries((text ?? '').split(',').filter(Boolean).map((one): [string, number] => [one.slice(0, one.lastIndexOf('=')), Number(one.slice(one.lastIndexOf('=') + 1))]));

/** Keys of each partition of a set, in order. */
export const keysOf = (keys: Keys, topic: string, { first, count }: PartitionSet): readonly TopicKeys[] =>
  Array.from({ length: count }, (_, index) => keys.topic(topic, first + index, count));

const describeSet = ({ first, count }: PartitionSet): string => `${first}:${count}`;

const parseSet = (text: unknown): PartitionSet | undefined => {
  const [first, count] = asText(text ?? '').split(':').map(Number);
  return first !== undefined && count !== undefined ? { first, count } : undefined;
};

const parseLayout = (fields: ReadonlyMap<string, unknown>): Layout => {
  return {
    id: asText(fields.get('id')),
    current: { first: Number(fields.get('first')), count: Number(fields.get('partitions')) },
    draining: parseSet(fields.get('draining')),
    drained: parseSet(fields.get('drained')),
    next: Number(fields.get('next')),
  };
};

/** The layout of a topic; one partition where nobody has published or subscribed yet. */
export async function peekLayout(redis: Redis, keys: Keys, topic: string): Promise<Layout> {
  const fields = new Map(Object.entries(await redis.hgetall(keys.topicMeta(topic))));
  return fields.size > 0 ? parseLayout(fields) : { id: '', current: { first: 0, count: 1 }, draining: undefined, drained: undefined, next: 0 };
}

/**
 * The layout of a topic for those who publish and consume, made with `wanted` partitions (else one) where there is none.
 * @throws PartitionMismatchError where `wanted` is not what the topic has.
 */
export async function readLayout(redis: Redis, keys: Keys, topic: string, wanted?: number): Promise<Layout> {
  const meta = keys.topicMeta(topic);
  // A stream from before there were layouts is one partition.
  const isNew = wanted !== undefined && wanted > 1 && (await redis.exists(meta)) === 0 && (await redis.exists(keys.topic(topic).stream)) === 0;
  const made = isNew ? wanted : 1;
  const layout = parseLayout(asFields(await openLayout(redis, [meta], [randomUUID(), made, isBare(keys, topic, made) ? 0 : made])));
  if (wanted !== undefined) requireCount(topic, layout, wanted);
  for (const of of keysOf(keys, topic, layout.current)) await openPartition(redis, [of.layout], [layout.id]);
  return layout;
}

/**
 * For a service that only publishes, at its start: refuses what the topics contradict. Where Redis is away nothing can be said; the publisher
 * looks again then.
 * @throws PartitionMismatchError
 */
export async function checkPartitions(redis: Redis, keys: Keys, wanted: Readonly<Record<string, number>>): Promise<void> {
  for (const [topic, count] of Object.entries(wanted)) {
    const layout = await peekLayout(redis, keys, topic).catch(() => undefined);
    if (layout && layout.id !== '') requireCount(topic, layout, count);
  }
}

function requireCount(topic: string, { current }: Layout, wanted: number): void {
  if (wanted !== current.count)
    throw new PartitionMismatchError(`the topic ${topic} has ${current.count} partitions and this service is configured for ${wanted}: run "millrace streams repartition ${topic} ${wanted}", or correct BUS_PARTITIONS`);
}

/** One partition on a single instance: the stream has the topic's own name. */
const isBare = (keys: Keys, topic: string, count: number): boolean => keys.topic(topic, 0, count).stream === topic;

/** Marks the streams of the draining set: from now on every append to them is refused, and publishers look for the new set. */
async function closeDraining(redis: Redis, keys: Keys, topic: string, { id, draining }: Layout): Promise<void> {
  if (!draining) return;
  await Promise.all(keysOf(keys, topic, draining).map(({ layout }) => redis.set(layout, `${CLOSED} ${id}`)));
}

/**
 * Gives the topic `count` partitions: publishers append to the new ones from now on, consumers finish the old ones first, so that the order of
 * each key is kept. Safe to repeat after a crash. Returns the layout.
 * @throws PartitionMismatchError where an earlier change is still draining.
 */
export async function repartition(redis: Redis, keys: Keys, topic: string, count: number): Promise<Layout> {
  if (!Number.isInteger(count) || count < 1) throw new RangeError(`a topic has a whole number of partitions, at least one: ${count}`);
  const layout = await readLayout(redis, keys, topic);
  if (layout.current.count === count) {
    await closeDraining(redis, keys, topic, layout);
    if (layout.draining) await carryGroups(redis, keysOf(keys, topic, layout.draining), keysOf(keys, topic, layout.current));
    return layout;
  }
  if (layout.draining) throw new PartitionMismatchError(`the topic ${topic} is still draining its ${layout.draining.count} old partitions: wait until "millrace streams" shows none`);
  if (layout.drained) await removeDrained(redis, keys, topic, layout.drained);
  const { current } = layout;
  const next = isBare(keys, topic, count) ? { first: 0, count } : { first: layout.next, count };
  await carryGroups(redis, keysOf(keys, topic, current), keysOf(keys, topic, next));
  // The bare name may have been closed before.
  if (isBare(keys, topic, count)) await redis.unlink(keys.topic(topic).layout);
  const used = isBare(keys, topic, count) ? layout.next : next.first + count;
  const changed = await changeLayout(redis, [keys.topicMeta(topic)], [layout.id, current.first, current.count, next.first, next.count, used]);
  if (changed !== 1) throw new PartitionMismatchError(`the partitions of ${topic} were changed by somebody else at the same time: look again`);
  const after = { ...layout, drained: undefined, current: next, draining: current, next: used };
  await closeDraining(redis, keys, topic, after);
  // Those that were made meanwhile.
  await carryGroups(redis, keysOf(keys, topic, current), keysOf(keys, topic, next));
  return after;
}

/** Every group begins at the start of the new partitions, bootstrapped as far as it is on the old ones: a group whose consumers are away loses nothing. */
async function carryGroups(redis: Redis, from: readonly TopicKeys[], to: readonly TopicKeys[]): Promise<void> {
  const marksOf = async (of: TopicKeys): Promise<(readonly [string, string])[]> =>
    Promise.all((await groupNames(redis, of.stream)).map(async (group) => [group, (await redis.get(of.bootstrapped(group))) ?? '']));
  const marks = new Map<string, string>();
  // One after the other 256 partitions take longer than anybody waits.
  for (const [group, mark] of (await Promise.all(from.map(marksOf))).flat()) if (!marks.get(group)?.startsWith(NEEDS_BOOTSTRAP)) marks.set(group, mark);
  await Promise.all(to.flatMap((of) => [...marks].map(([group, mark]) => carryGroup(redis, [of.stream, of.bootstrapped(group)], [group, mark]))));
}

/** Groups of a stream; none where it is not there. */
export const groupNames = (redis: Redis, stream: string): Promise<readonly string[]> =>
  whileThere(async () => {
    if ((await redis.exists(stream)) === 0) return [];
    return asList(await redis.xinfo('GROUPS', stream)).map((group) => asText(asFields(group).get('name')));
  });

/** Has the group (undefined: has every group) finished these partitions, which are closed? */
export async function isSetDrained(redis: Redis, keys: Keys, topic: string, { set, group = '' }: { readonly set: PartitionSet; readonly group?: string }): Promise<boolean> {
  for (const { stream, layout } of keysOf(keys, topic, set)) if ((await isDrained(redis, [stream, layout], [group])) !== 1) return false;
  return true;
}

const isSame = (a: PartitionSet | undefined, b: PartitionSet): boolean => a?.first === b.first && a.count === b.count;

/** Is there nothing more to consume in these partitions: the group has finished them, or the topic does not know them (Redis was flushed)? */
export async function isSetOver(redis: Redis, keys: Keys, topic: string, { set, group }: { readonly set: PartitionSet; readonly group: string }): Promise<boolean> {
  const { id, current, draining } = await peekLayout(redis, keys, topic);
  if (id === '' || isSame(current, set)) return false;
  return !isSame(draining, set) || isSetDrained(redis, keys, topic, { set, group });
}

/** Are these the partitions to read from now on? */
export async function isSetCurrent(redis: Redis, keys: Keys, topic: string, set: PartitionSet): Promise<boolean> {
  const { id, current } = await peekLayout(redis, keys, topic);
  return id === '' || isSame(current, set);
}

/** Every partition that the topic has or ever had: also those that are gone may have dead letters. */
export function everyPartition(keys: Keys, topic: string, { next }: Layout): readonly { readonly name: PartitionName; readonly of: TopicKeys }[] {
  const numbers = Array.from({ length: next }, (_, number): PartitionName => number);
  const names: PartitionName[] = isBare(keys, topic, 1) ? ['bare', ...numbers] : numbers.length > 0 ? numbers : [0];
  return names.map((name) => ({ name, of: partitionKeys(keys, topic, name) }));
}

/** A partition by itself, whatever the topic's number of them is: the stream with the topic's own name, or a numbered one. */
export type PartitionName = 'bare' | number;

export const partitionKeys = (keys: Keys, topic: string, name: PartitionName): TopicKeys => (name === 'bare' ? keys.topic(topic) : keys.topic(topic, name, 2));

/**
 * Removes the old partitions once every group has finished them; their dead letters stay. Closes them first where a repartitioning was cut short.
 * What is to be removed is written down before: a stream that is missing while the layout calls it draining was lost, and the relay sees to it.
 */
export async function finishDraining(redis: Redis, keys: Keys, topic: string): Promise<void> {
  const layout = await peekLayout(redis, keys, topic);
  if (layout.drained) await removeDrained(redis, keys, topic, layout.drained);
  if (!layout.draining) return;
  await closeDraining(redis, keys, topic, layout);
  if (!(await isSetDrained(redis, keys, topic, { set: layout.draining }))) return;
  await endDraining(redis, [keys.topicMeta(topic)], [describeSet(layout.draining)]);
  await removeDrained(redis, keys, topic, layout.draining);
}

async function removeDrained(redis: Redis, keys: Keys, topic: string, set: PartitionSet): Promise<void> {
  await Promise.all(keysOf(keys, topic, set).map((of) => removeStream(redis, of)));
  await redis.hdel(keys.topicMeta(topic), 'drained');
}

/** The mark that it is closed stays for good: a publisher may still believe in it. */
async function removeStream(redis: Redis, of: TopicKeys): Promise<void> {
  for (const group of await groupNames(redis, of.stream)) await redis.unlink(of.attempts(group), of.bootstrapped(group), of.bootstrapping(group), of.delayed(group), of.lease(group), of.members(group));
  await redis.unlink(of.stream, of.epoch, of.progress, of.recentIds);
}
