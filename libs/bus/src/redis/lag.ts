import { asEntries, asFields, asList, asText, compareStreamIds, splitStreamId } from '@millrace/redis-kit';
import type { Keys, Redis } from '@millrace/redis-kit';
import { everyPartition, keysOf, peekLayout } from './layout.ts';
import { countEntries } from './scripts/trim.ts';
import { whileThere } from './while-there.ts';

export interface Lag {
  /** Entries that the group has not acknowledged: pending and unread. */
  readonly messages: number;
  /** Age of the oldest of them by Redis' clock; 0 where there are none. */
  readonly oldestAgeMs: number;
}

/** Over all partitions, and what the group has parked. */
export interface GroupLag extends Lag {
  readonly deadLetters: number;
}

const PAGE = 500;
/** Beyond so many unread entries the exact number does not matter: counting stops. */
const COUNTED = 100_000;

/**
 * Lag of a group. Redis' own number is null or wrong after deletions below 8.2; ours is exact up to 100,000 unread entries, and a lower
 * bound beyond where Redis has no number. A group that does not exist lags by the whole stream.
 */
export const readLag = (redis: Redis, stream: string, group: string, hasExactLag = false): Promise<Lag> => whileThere(() => readLagOnce(redis, stream, group, hasExactLag));

async function readLagOnce(redis: Redis, stream: string, group: string, hasExactLag: boolean): Promise<Lag> {
  if ((await redis.exists(stream)) === 0) return { messages: 0, oldestAgeMs: 0 };
  const [info, groups, time] = await Promise.all([redis.xinfo('STREAM', stream), redis.xinfo('GROUPS', stream), redis.time()]);
  const streamInfo = asFields(info);
  const groupInfo = asList(groups).map(asFields).find((fields) => fields.get('name') === group);
  const delivered = groupInfo ? asText(groupInfo.get('last-delivered-id')) : '0-0';
  const pending = Number(groupInfo?.get('pending') ?? 0);
  const own = groupInfo?.get('lag');
  const unread = hasExactLag && typeof own === 'number' ? own : await countUnread(redis, stream, { streamInfo, entriesRead: groupInfo?.get('entries-read'), delivered });
  const [firstUnread, oldestPending] = await Promise.all([
    unread > 0 ? redis.xrange(stream, `(${delivered}`, '+', 'COUNT', 1).then((entries) => asEntries(entries)[0]?.id) : undefined,
    pending > 0 ? redis.xpending(stream, group).then((summary) => asList(summary)[1]) : undefined,
  ]);
  const oldest = typeof oldestPending === 'string' ? oldestPending : firstUnread;
  const nowMs = Number(time[0]) * 1_000 + Math.floor(Number(time[1]) / 1_000);
  return { messages: pending + unread, oldestAgeMs: oldest === undefined ? 0 : Math.max(0, nowMs - splitStreamId(oldest)[0]) };
}

export interface LagOf {
  readonly topic: string;
  readonly group: string;
  /** The server's own number is right (features.ts). */
  readonly hasExactLag?: boolean;
}

/** Over the partitions that are draining and the current ones. */
export async function readGroupLag(redis: Redis, keys: Keys, { topic, group, hasExactLag = false }: LagOf): Promise<GroupLag> {
  const layout = await peekLayout(redis, keys, topic);
  const sets = layout.draining ? [layout.draining, layout.current] : [layout.current];
  const [lags, parked] = await Promise.all([
    Promise.all(sets.flatMap((set) => keysOf(keys, topic, set)).map((of) => readLag(redis, of.stream, group, hasExactLag))),
    Promise.all(everyPartition(keys, topic, layout).map(({ of }) => redis.xlen(of.deadLetters(group)))),
  ]);
  const sum = (numbers: readonly number[]): number => numbers.reduce((total, number) => total + number, 0);
  return { messages: sum(lags.map(({ messages }) => messages)), oldestAgeMs: Math.max(0, ...lags.map(({ oldestAgeMs }) => oldestAgeMs)), deadLetters: sum(parked) };
}

interface Position {
  readonly streamInfo: ReadonlyMap<string, unknown>;
  readonly entriesRead: unknown;
  readonly delivered: string;
}

async function countUnread(redis: Redis, stream: string, { streamInfo, entriesRead, delivered }: Position): Promise<number> {
  const length = Number(streamInfo.get('length'));
  if (length === 0 || compareStreamIds(delivered, asText(streamInfo.get('last-generated-id'))) >= 0) return 0;
  const first = asText(asList(streamInfo.get('first-entry'))[0]);
  if (compareStreamIds(first, delivered) > 0) return length;
  // The server's counters are right as long as nothing was deleted out of the middle; what was trimmed away at the head was read before.
  if (typeof entriesRead === 'number' && streamInfo.get('max-deleted-entry-id') === '0-0') return Number(streamInfo.get('entries-added')) - entriesRead;
  let counted = 0;
  for (let from = delivered; counted < COUNTED; ) {
    const [count, last] = asList(await countEntries(redis, [stream], [from, PAGE]));
    counted += Number(count);
    if (Number(count) < PAGE) break;
    from = asText(last);
  }
  return counted;
}
