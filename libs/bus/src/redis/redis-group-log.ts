import { asEntries, asList, asText, asTexts } from '@millrace/redis-kit';
import type { TopicKeys } from '@millrace/redis-kit';
import type { Redis } from '@millrace/redis-kit';
import { pause } from '../backoff.ts';
import { GroupMissingError } from '../errors.ts';
import type { Claim, GroupLog } from '../group-log.ts';
import type { BlockingReader } from './blocking-reader.ts';
import { claimEntry, endBootstrap, parkEntry, registerGroup, takeBootstrap, touchEntries } from './scripts.ts';

export interface RedisGroupLogOptions {
  readonly reader: BlockingReader;
  /** For everything that does not block; shared by the bus. */
  readonly control: Redis;
  readonly keys: TopicKeys;
  readonly group: string;
  readonly consumer: string;
}

/** The dead letters of a group are cut to about so many: the oldest go first. */
const MAX_DEAD_LETTERS = 100_000;
const BOOTSTRAP_LOCK_MS = 10_000;

/** One consumer's view of a group on Redis Streams (7.0 or later). */
export function createRedisGroupLog({ reader, control, keys, group, consumer }: RedisGroupLogOptions): GroupLog {
  const { stream } = keys;
  const attempts = keys.attempts(group);
  let reclaimFrom = '0-0';
  return {
    register: async () => void (await registerGroup(control, [stream, keys.bootstrapped(group)], [group])),
    bootstrap: (read, signal) => bootstrap({ control, keys, group, consumer }, read, signal),
    async read(count, blockMs) {
      const reply = await orGroupMissing(reader.run((redis) => redis.xreadgroup('GROUP', group, consumer, 'COUNT', count, 'BLOCK', blockMs, 'STREAMS', stream, '>')));
      return reply === null ? [] : asEntries(asList(asList(reply)[0])[1]);
    },
    interrupt: () => reader.interrupt(),
    takeReconnected: () => reader.takeReconnected(),
    async ack(ids, tracked) {
      if (tracked) await Promise.all([control.xack(stream, group, ...ids), control.hdel(attempts, ...ids)]);
      else await control.xack(stream, group, ...ids);
    },
    async pending(count) {
      const reply = await orGroupMissing(control.xpending(stream, group, '-', '+', count, consumer));
      return asList(reply).map((row) => asText(asList(row)[0]));
    },
    claim: async (id, maxAttempts) => toClaim(id, await orGroupMissing(claimEntry(control, [stream, attempts], [group, consumer, id, maxAttempts, Date.now()]))),
    release: async (id, count) => void (await orGroupMissing(control.call('XCLAIM', stream, group, consumer, 0, id, 'RETRYCOUNT', count, 'JUSTID'))),
    async park(id, reason, count) {
      await orGroupMissing(parkEntry(control, [stream, keys.deadLetters(group), attempts], [group, consumer, id, reason, count, Date.now(), MAX_DEAD_LETTERS]));
    },
    touch: async (ids) => void (await orGroupMissing(touchEntries(control, [stream], [group, consumer, ...ids]))),
    async reclaim(idleMs, count) {
      const reply = asList(await orGroupMissing(control.xautoclaim(stream, group, consumer, idleMs, reclaimFrom, 'COUNT', count, 'JUSTID')));
      reclaimFrom = asText(reply[0]); // one call scans ten times the count: the next goes on behind it, 0-0 at the end
      return { ids: asTexts(reply[1]), deleted: asList(reply[2] ?? []).length };
    },
    close: () => reader.close(),
  };
}

/** NOGROUP: group or stream are gone. UNBLOCKED: the stream went while a read was waiting (before 7.2). */
async function orGroupMissing<T>(reply: Promise<T>): Promise<T> {
  try {
    return await reply;
  } catch (error) {
    if (error instanceof Error && /NOGROUP|^UNBLOCKED/.test(error.message)) throw new GroupMissingError(error.message);
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

type BootstrapDeps = Omit<RedisGroupLogOptions, 'reader'>;

/** Under a lock that dies with its holder; the marker is written after `read` has resolved, so an interrupted one runs again. */
async function bootstrap({ control, keys, group, consumer }: BootstrapDeps, read: () => Promise<void>, signal: AbortSignal): Promise<void> {
  const marker = keys.bootstrapped(group);
  const lock = keys.bootstrapping(group);
  const take = async (): Promise<unknown> => takeBootstrap(control, [marker, lock], [consumer, BOOTSTRAP_LOCK_MS]);
  const end = async (completed: boolean): Promise<unknown> => endBootstrap(control, [marker, lock, keys.stream], [consumer, completed ? 1 : 0, group, Date.now()]);

  for (let answer = await take(); answer !== 'mine'; answer = await take()) {
    if (answer === 'done' || signal.aborted) return;
    await pause(200, signal);
  }
  const renewal = setInterval(() => void take().catch(() => undefined), BOOTSTRAP_LOCK_MS / 3);
  try {
    // A stop does not wait for a long export; without the marker the next start reads it again.
    const completed = await Promise.race([read().then(() => true), aborted(signal).then(() => false)]);
    await end(completed);
  } catch (error) {
    await end(false).catch(() => undefined);
    throw error;
  } finally {
    clearInterval(renewal);
  }
}

const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
