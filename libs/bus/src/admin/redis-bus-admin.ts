import { asFields, asList, asText } from '@millrace/redis-kit';
import type { Keys, Redis, TopicKeys } from '@millrace/redis-kit';
import { everyPartition, keysOf, partitionKeys, PartitionMismatchError, peekLayout, repartition } from '../redis/layout.ts';
import { readLag } from '../redis/lag.ts';
import { dropGroup } from '../redis/scripts/dead-letters.ts';
import { NEEDS_BOOTSTRAP } from '../redis/scripts/group.ts';
import { whileThere } from '../redis/while-there.ts';
import type { Topic } from '../topic.ts';
import { BusAdminError } from './bus-admin.ts';
import type { BusAdmin, DroppedGroup, GroupState, StreamState, TopicState } from './bus-admin.ts';
import { createDeadLetters } from './dead-letters.ts';
import { createRedisLetters } from './redis-letters.ts';
import { traceKey } from './trace-key.ts';

export interface RedisBusAdminOptions {
  /** Role 'background'. */
  readonly redis: Redis;
  readonly keys: Keys;
  readonly topics: readonly Topic[];
}

/** A consumer that was seen in this time counts as running. */
const SEEN_MS = 60_000;
const MAX_PARTITIONS = 256;

/** The tools over Redis Streams; needs no running service. */
export function createRedisBusAdmin(options: RedisBusAdminOptions): BusAdmin {
  const { redis, keys, topics } = options;
  const topicOf = (name: string): Topic => {
    const found = topics.find((topic) => topic.name === name);
    if (!found) throw new BusAdminError('not_found', `there is no topic ${name}: the topics are ${topics.map((topic) => topic.name).join(', ')}`);
    return found;
  };
  return {
    ...createDeadLetters({ store: createRedisLetters(options), topics, topicOf }),
    topics: () => Promise.all(topics.map((topic) => readTopic(options, topic))),
    async dropGroup(group, { topic, force = false, dryRun = false } = {}) {
      const states = await Promise.all((topic === undefined ? topics : [topicOf(topic)]).map((one) => readTopic(options, one)));
      const found = states.flatMap((state) => state.streams.flatMap((stream) => stream.groups.filter((one) => one.group === group).map((one) => ({ state, stream, one }))));
      if (found.length === 0) throw new BusAdminError('not_found', `there is no group ${group}${topic === undefined ? '' : ` on ${topic}`}`);
      const boxes = await lettersOf(options, new Set(found.map(({ state }) => state.topic)), group);
      const parked = boxes.reduce((sum, { letters }) => sum + letters, 0);
      if (parked > 0 && !force) throw new BusAdminError('conflict', `the group ${group} has ${parked} dead letters: replay or discard them first, or drop it with force`);
      const used = found.flatMap(({ one }) => one.consumers).find(({ idleMs }) => idleMs < SEEN_MS);
      if (used && !force) throw new BusAdminError('conflict', `the group ${group} is in use: its consumer ${used.consumer} was seen ${Math.round(used.idleMs / 1_000)} s ago; stop it first, or drop the group with force`);
      if (!dryRun) for (const { state, stream } of found) await drop(redis, partitionKeys(keys, state.topic, stream.stream === state.topic ? 'bare' : stream.partition), { group, force });
      if (!dryRun) for (const { key } of boxes) await redis.unlink(key);
      return sumByTopic(found.map(({ state, one }) => ({ topic: state.topic, group, pending: one.pending, unread: one.unread })));
    },
    async traceKey(name, key, limit) {
      const topic = topicOf(name);
      if (topic.options.isPersonal === true) throw new BusAdminError('invalid', `the keys of ${name} are personal and cannot be traced`);
      return traceKey(options, topic, key, limit);
    },
    async repartition(name, partitions) {
      const topic = topicOf(name);
      if (!Number.isInteger(partitions) || partitions < 1 || partitions > MAX_PARTITIONS) throw new BusAdminError('invalid', `a topic has 1 to ${MAX_PARTITIONS} partitions`, '/partitions');
      try {
        await repartition(redis, keys, name, partitions);
      } catch (error) {
        if (error instanceof PartitionMismatchError) throw new BusAdminError('conflict', error.message);
        throw error;
      }
      return readTopic(options, topic);
    },
  };
}

/** The dead letters of a group on every partition that its topics have or ever had. */
async function lettersOf({ redis, keys }: RedisBusAdminOptions, topics: ReadonlySet<string>, group: string): Promise<readonly { readonly key: string; readonly letters: number }[]> {
  const boxes = await Promise.all([...topics].map(async (topic) => everyPartition(keys, topic, await peekLayout(redis, keys, topic)).map(({ of }) => of.deadLetters(group))));
  return Promise.all(boxes.flat().map(async (key) => ({ key, letters: await redis.xlen(key) })));
}

async function drop(redis: Redis, of: TopicKeys, { group, force }: { readonly group: string; readonly force: boolean }): Promise<void> {
  const side = [of.attempts(group), of.bootstrapped(group), of.bootstrapping(group), of.delayed(group), of.lease(group), of.fence(group), of.members(group), of.deadLetters(group)];
  const [answer, consumer] = asList(await dropGroup(redis, [of.stream, ...side], [group, SEEN_MS, force ? 1 : 0]));
  if (answer === 'used') throw new BusAdminError('conflict', `the group ${group} is in use: its consumer ${asText(consumer)} was seen just now`);
  await redis.hdel(of.progress, group);
}

function sumByTopic(dropped: readonly DroppedGroup[]): readonly DroppedGroup[] {
  const byTopic = new Map<string, DroppedGroup>();
  for (const one of dropped) {
    const sum = byTopic.get(one.topic);
    byTopic.set(one.topic, sum ? { ...one, pending: sum.pending + one.pending, unread: sum.unread + one.unread } : one);
  }
  return [...byTopic.values()];
}

async function readTopic({ redis, keys }: RedisBusAdminOptions, { name }: Topic): Promise<TopicState> {
  const { current, draining } = await peekLayout(redis, keys, name);
  const sets = [...(draining ? [{ set: draining, isDraining: true }] : []), { set: current, isDraining: false }];
  const streams = sets.flatMap(({ set, isDraining }) => keysOf(keys, name, set).map((of, index) => readStream(redis, of, { partition: set.first + index, isDraining })));
  return { topic: name, partitions: current.count, streams: await Promise.all(streams) };
}

interface Place { readonly partition: number; readonly isDraining: boolean }

const readStream = (redis: Redis, of: TopicKeys, place: Place): Promise<StreamState> => whileThere(() => readStreamOnce(redis, of, place));

async function readStreamOnce(redis: Redis, of: TopicKeys, place: Place): Promise<StreamState> {
  const empty = { ...place, stream: of.stream, length: 0, bytes: 0, firstId: undefined, lastId: undefined, groups: [] };
  if ((await redis.exists(of.stream)) === 0) return empty;
  const [stream, groups, bytes] = await Promise.all([redis.xinfo('STREAM', of.stream), redis.xinfo('GROUPS', of.stream), redis.memory('USAGE', of.stream)]);
  const info = asFields(stream);
  const idOf = (entry: unknown): string | undefined => (entry === null || entry === undefined ? undefined : asText(asList(entry)[0]));
  const names = asList(groups).map((group) => asText(asFields(group).get('name')));
  return {
    ...place, stream: of.stream, length: Number(info.get('length')), bytes: bytes ?? 0, firstId: idOf(info.get('first-entry')), lastId: idOf(info.get('last-entry')),
    groups: await Promise.all(names.map((group) => readGroup(redis, of, group))),
  };
}

async function readGroup(redis: Redis, of: TopicKeys, group: string): Promise<GroupState> {
  const [lag, summary, consumers, delayed, deadLetters, marker, isReading, lease] = await Promise.all([
    readLag(redis, of.stream, group), redis.xpending(of.stream, group), redis.xinfo('CONSUMERS', of.stream, group), redis.zcard(of.delayed(group)),
    redis.xlen(of.deadLetters(group)), redis.get(of.bootstrapped(group)), redis.exists(of.bootstrapping(group)), redis.get(of.lease(group)),
  ]);
  const pending = Number(asList(summary)[0]);
  const bootstrap = isReading === 1 ? 'bootstrapping' : marker === null ? 'none' : marker.startsWith(NEEDS_BOOTSTRAP) ? 'needs-bootstrap' : 'done';
  return {
    group, pending, unread: lag.messages - pending, delayed, deadLetters, oldestAgeMs: lag.oldestAgeMs, bootstrap,
    holder: lease?.slice(lease.indexOf(' ') + 1),
    consumers: asList(consumers).map((one) => {
      const fields = asFields(one);
      return { consumer: asText(fields.get('name')), pending: Number(fields.get('pending')), idleMs: Number(fields.get('idle')) };
    }),
  };
}

