import { asEntries, asList, asText, asTexts } from '@millrace/redis-kit';
import type { Redis, RedisScript, TopicKeys } from '@millrace/redis-kit';
import type { RawEntry } from '../codec.ts';
import { GroupMissingError, LeaseLostError } from '../errors.ts';
import type { Claim, GroupLog } from '../group-log.ts';
import type { BlockingReader } from './blocking-reader.ts';
import { bootstrapGroup } from './bootstrap.ts';
import { ackEntries, adoptEntries, claimEntry, listPending, parkEntry, readEntries, releaseEntry, touchEntries } from './scripts/entries.ts';
import { NEEDS_BOOTSTRAP, registerGroup, removeConsumers } from './scripts/group.ts';
import { delayEntry, reclaimEntries, takeDueEntries } from './scripts/retry.ts';

export interface RedisGroupLogOptions {
  readonly reader: BlockingReader;
  /** For everything that does not block; shared by the bus. */
  readonly control: Redis;
  readonly keys: TopicKeys;
  readonly group: string;
  readonly consumer: string;
  /** What this consumer's lease of the stream says; undefined where the group's consumers compete for its entries. */
  readonly lease?: string;
  readonly canBootstrap: boolean;
}

/** The dead letters of a group are cut to about so many, and to so long: the oldest go first. */
export const MAX_DEAD_LETTERS = 100_000;
export const DEAD_LETTERS_MS = 30 * 86_400_000;

/** One consumer's view of a group on Redis Streams (7.0 or later). */
export function createRedisGroupLog({ reader, control, keys, group, consumer, lease, canBootstrap }: RedisGroupLogOptions): GroupLog {
  const { stream } = keys;
  const [attempts, delayed, marker] = [keys.attempts(group), keys.delayed(group), keys.bootstrapped(group)];
  const run = (script: RedisScript, own: readonly string[], args: readonly (string | number)[]): Promise<unknown> =>
    explained(script(control, [...own, keys.lease(group)], [...args, lease ?? '']));
  const fencedRead = createFencedRead({ reader, stream, read: (count) => run(readEntries, [stream], [group, consumer, count]) });
  let reclaimFrom = '0-0';
  return {
    register: async () => (await registerGroup(control, [stream, marker, delayed], [group, canBootstrap ? 1 : 0])) === 1,
    bootstrap: (read, signal) => bootstrapGroup({ control, keys, group, consumer }, read, signal),
    needsBootstrap: async () => canBootstrap && (await control.get(marker)) === NEEDS_BOOTSTRAP,
    async read(count, blockMs) {
      if (lease !== undefined) return fencedRead(count, blockMs);
      const reply = await explained(reader.run((redis) => redis.xreadgroup('GROUP', group, consumer, 'COUNT', count, 'BLOCK', blockMs, 'STREAMS', stream, '>')));
      return reply === null ? [] : asEntries(asList(asList(reply)[0])[1]);
    },
    interrupt: () => reader.interrupt(),
    takeReconnected: () => reader.takeReconnected(),
    async ack(ids, tracked) {
      const acknowledged = lease === undefined ? control.xack(stream, group, ...ids) : run(ackEntries, [stream], [group, ...ids]);
      await Promise.all([acknowledged, tracked ? control.hdel(attempts, ...ids) : undefined]);
    },
    async pending(from, count) {
      const [ids, next] = asList(await run(listPending, [stream, delayed], [group, consumer, from ?? '-', count]));
      return { items: asTexts(ids), next: asText(next) || undefined };
    },
    async adopt(from, count) {
      const [entries, deleted, next] = asList(await run(adoptEntries, [stream, delayed], [group, consumer, from ?? '-', count]));
      return { items: asEntries(entries), deleted: Number(deleted), next: asText(next) || undefined };
    },
    claim: async (id, maxAttempts) => toClaim(id, await run(claimEntry, [stream, attempts], [group, consumer, id, maxAttempts, Date.now()])),
    release: async (id, count) => void (await run(releaseEntry, [stream], [group, consumer, id, count])),
    async park(id, reason, count) {
      const now = Date.now();
      const reply = await run(parkEntry, [stream, delayed, keys.deadLetters(group), attempts], [group, consumer, id, reason, count, now, MAX_DEAD_LETTERS, now - DEAD_LETTERS_MS]);
      return Math.max(0, Number(reply) - 1);
    },
    delay: async (id, delayMs) => void (await run(delayEntry, [stream, delayed], [group, consumer, id, Math.round(delayMs)])),
    async takeDue(count) {
      const [ids, deleted, nextInMs, waiting] = asList(await run(takeDueEntries, [stream, delayed], [group, consumer, count]));
      return { ids: asTexts(ids), deleted: Number(deleted), nextInMs: Number(nextInMs) < 0 ? undefined : Number(nextInMs), waiting: Number(waiting) };
    },
    touch: async (ids) => void (await run(touchEntries, [stream], [group, consumer, ...ids])),
    async reclaim(idleMs, count) {
      const [cursor, ids, deleted] = asList(await run(reclaimEntries, [stream, delayed], [group, consumer, idleMs, reclaimFrom, count]));
      reclaimFrom = asText(cursor); // one call scans ten times the count: the next goes on behind it, 0-0 at the end
      return { ids: asTexts(ids), deleted: Number(deleted) };
    },
    removeIdleConsumers: async (idleMs) => Number(await explained(removeConsumers(control, [stream], [group, idleMs, '']))),
    async close() {
      // Where the broker or the group is away there is nothing to tidy up.
      if (control.status === 'ready') await removeConsumers(control, [stream], [group, 0, consumer]).catch(() => undefined);
      await reader.close();
    },
  };
}

interface FencedRead {
  readonly reader: BlockingReader;
  readonly stream: string;
  readonly read: (count: number) => Promise<unknown>;
}

/**
 * A lease can be looked at only by a script, and a script cannot wait: so the waiting is done by a plain XREAD behind the last entry that
 * the group has been given, which changes nothing, and the reading by a script.
 */
function createFencedRead({ reader, stream, read }: FencedRead): (count: number, blockMs: number) => Promise<readonly RawEntry[]> {
  return async (count, blockMs) => {
    for (const isWaitedFor of [false, true]) {
      const [list, delivered] = asList(await read(count));
      const entries = asEntries(list);
      if (entries.length > 0 || isWaitedFor) return entries;
      await explained(reader.run((redis) => redis.xread('COUNT', 1, 'BLOCK', blockMs, 'STREAMS', stream, asText(delivered))));
    }
    return [];
  };
}

/** NOGROUP: group or stream are gone. UNBLOCKED: the stream went while a read was waiting (before 7.2). FENCED: see defineFencedScript. */
async function explained<T>(reply: Promise<T>): Promise<T> {
  try {
    return await reply;
  } catch (error) {
    if (error instanceof Error && /NOGROUP|^UNBLOCKED/.test(error.message)) throw new GroupMissingError(error.message);
    if (error instanceof Error && error.message.startsWith('FENCED')) throw new LeaseLostError(error.message);
    throw error;
  }
}

function toClaim(id: string, reply: unknown): Claim {
  const [kind, count, fields] = asList(reply);
  switch (asText(kind)) {
    case 'claimed':
      return { kind: 'claimed', attempts: Number(count), entry: { id, fields: asTexts(fields) } };
    case 'exhausted':
      return { kind: 'exhausted', attempts: Number(count) };
    case 'deleted':
      return { kind: 'deleted' };
    default:
      return { kind: 'gone' };
  }
}
