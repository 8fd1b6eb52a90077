import { asEntries, asList, asText, asTexts } from '@millrace/redis-kit';
import type { Redis, RedisScript, TopicKeys } from '@millrace/redis-kit';
import type { RawEntry } from '../codec.ts';
import { GroupMissingError, LeaseLostError } from '../errors.ts';
import type { Claim, GroupLog } from '../group-log.ts';
import type { BlockingReader } from './blocking-reader.ts';
import { runBootstrap } from '../run-bootstrap.ts';
import { createBootstrapLock } from './bootstrap.ts';
import { ackEntries, adoptEntries, claimEntry, listPending, parkEntry, readEntries, releaseEntry, touchEntries } from './scripts/entries.ts';
import { dropNotes, NEEDS_BOOTSTRAP, registerGroup, removeConsumers } from './scripts/group.ts';
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

/** What Lua's unpack can take is some thousands. */
const ACK_CHUNK = 1_000;
const MAX_RECLAIMS = 20;
/** A connection that is silent for 10 s is replaced: a read must end before. */
const MAX_BLOCK_MS = 5_000;

/** One consumer's view of a group on Redis Streams (7.0 or later). */
export function createRedisGroupLog({ reader, control, keys, group, consumer, lease, canBootstrap }: RedisGroupLogOptions): GroupLog {
  const { stream } = keys;
  const [attempts, delayed, marker] = [keys.attempts(group), keys.delayed(group), keys.bootstrapped(group)];
  const run = (script: RedisScript, own: readonly string[], args: readonly (string | number)[]): Promise<unknown> =>
    explained(script(control, [...own, keys.lease(group)], [...args, lease ?? '']));
  const fenced = createFencedRead({ reader, stream, read: (count, known) => run(readEntries, [stream], [group, consumer, count, known]) });
  return {
    async register() {
      const made = await registerGroup(control, [stream, marker, delayed, keys.layout], [group, canBootstrap ? 1 : 0]);
      if (made === -1) throw new LeaseLostError('the partition is drained and gone');
      return made === 1;
    },
    bootstrap: (read, signal) => runBootstrap(createBootstrapLock({ control, keys, group, consumer }), read, signal),
    needsBootstrap: async () => canBootstrap && ((await control.get(marker)) ?? '').startsWith(NEEDS_BOOTSTRAP),
    async read(count, wantedMs) {
      const blockMs = Math.min(wantedMs, MAX_BLOCK_MS);
      if (lease !== undefined) return fenced.read(count, blockMs);
      const reply = await explained(reader.run((redis) => redis.xreadgroup('GROUP', group, consumer, 'COUNT', count, 'BLOCK', blockMs, 'STREAMS', stream, '>')));
      return reply === null ? [] : asEntries(asList(asList(reply)[0])[1]);
    },
    interrupt: () => reader.interrupt(),
    wake: () => reader.wake(),
    takeReconnected: () => [reader.takeReconnected(), fenced.takeMissed()].includes(true),
    async ack(ids, tracked) {
      const chunks = lease === undefined ? [] : Array.from({ length: Math.ceil(ids.length / ACK_CHUNK) }, (_, index) => ids.slice(index * ACK_CHUNK, (index + 1) * ACK_CHUNK));
      const acknowledged = lease === undefined ? [control.xack(stream, group, ...ids)] : chunks.map((chunk) => run(ackEntries, [stream], [group, ...chunk]));
      await Promise.all([...acknowledged, tracked ? control.hdel(attempts, ...ids) : undefined]);
    },
    async pending(from, count) {
      const [ids, next] = asList(await run(listPending, [stream, delayed], [group, consumer, from ?? '-', count]));
      return { items: asTexts(ids), next: asText(next) || undefined };
    },
    async adopt(from, count, putOff) {
      const [entries, deleted, next] = asList(await run(adoptEntries, [stream, delayed, attempts], [group, consumer, from ?? '-', count, putOff === 'also' ? 1 : 0]));
      return { items: asEntries(entries), deleted: Number(deleted), next: asText(next) || undefined };
    },
    ...singleMethods({ run, keys, group, consumer }),
    async takeDue(count) {
      const [ids, deleted, nextInMs, waiting] = asList(await run(takeDueEntries, [stream, delayed, attempts], [group, consumer, count]));
      return { ids: asTexts(ids), deleted: Number(deleted), nextInMs: Number(nextInMs) < 0 ? undefined : Number(nextInMs), waiting: Number(waiting) };
    },
    reclaim: createReclaim((idleMs, from, count) => run(reclaimEntries, [stream, delayed, attempts], [group, consumer, idleMs, from, count])),
    async removeIdleConsumers(idleMs) {
      await explained(dropAllNotes(control, [stream, attempts], group));
      return Number(await explained(removeConsumers(control, [stream], [group, idleMs, ''])));
    },
    async close() {
      // Where the broker or the group is away there is nothing to tidy up.
      if (control.status === 'ready') await removeConsumers(control, [stream], [group, 0, consumer]).catch(() => undefined);
      await reader.close();
    },
  };
}

/** One call looks at ten times the count: a few of them go on behind it, until something was taken or at the end. */
function createReclaim(take: (idleMs: number, from: string, count: number) => Promise<unknown>): GroupLog['reclaim'] {
  let from = '0-0';
  return async (idleMs, count) => {
    for (let call = 0, gone = 0; ; call += 1) {
      const [cursor, ids, deleted] = asList(await take(idleMs, from, count));
      from = asText(cursor);
      gone += Number(deleted);
      const taken = asTexts(ids);
      if (taken.length > 0 || from === '0-0' || call === MAX_RECLAIMS) return { ids: taken, deleted: gone };
    }
  };
}

interface SingleDeps {
  readonly run: (script: RedisScript, own: readonly string[], args: readonly (string | number)[]) => Promise<unknown>;
  readonly keys: TopicKeys;
  readonly group: string;
  readonly consumer: string;
}

/** What becomes of one entry. */
function singleMethods({ run, keys, group, consumer }: SingleDeps): Pick<GroupLog, 'claim' | 'release' | 'park' | 'delay' | 'touch'> {
  const { stream } = keys;
  const [attempts, delayed] = [keys.attempts(group), keys.delayed(group)];
  return {
    claim: async (id, maxAttempts) => toClaim(id, await run(claimEntry, [stream, attempts], [group, consumer, id, maxAttempts, Date.now()])),
    release: async (id, count) => void (await run(releaseEntry, [stream], [group, consumer, id, count])),
    async park(id, reason, count) {
      const now = Date.now();
      const reply = await run(parkEntry, [stream, delayed, keys.deadLetters(group), attempts], [group, consumer, id, reason, count, now, MAX_DEAD_LETTERS, now - DEAD_LETTERS_MS]);
      return Number(reply) === 0 ? undefined : Number(reply) - 1;
    },
    delay: async (id, delayMs) => void (await run(delayEntry, [stream, delayed], [group, consumer, id, Math.round(delayMs)])),
    touch: async (ids) => void (await run(touchEntries, [stream], [group, consumer, ...ids])),
  };
}

interface FencedReadOptions {
  readonly reader: BlockingReader;
  readonly stream: string;
  /** `known`: the last id that this consumer was given. */
  readonly read: (count: number, known: string) => Promise<unknown>;
}

interface FencedRead {
  read(count: number, blockMs: number): Promise<readonly RawEntry[]>;
  /** True once after the group was given entries of which this consumer knows nothing: an answer was lost, and the client sent the script again. */
  takeMissed(): boolean;
}

/**
 * A lease can be looked at only by a script, and a script cannot wait: so the waiting is done by a plain XREAD behind the last entry that
 * the group has been given, which changes nothing, and the reading by a script.
 */
function createFencedRead({ reader, stream, read }: FencedReadOptions): FencedRead {
  let known = '';
  let hasMissed = false;
  return {
    async read(count, blockMs) {
      for (const isWaitedFor of [false, true]) {
        const [list, delivered, missed] = asList(await read(count, known));
        known = asText(delivered);
        if (missed === 1) hasMissed = true;
        const entries = asEntries(list);
        if (entries.length > 0 || isWaitedFor || hasMissed) return entries;
        await explained(reader.run((redis) => redis.xread('COUNT', 1, 'BLOCK', blockMs, 'STREAMS', stream, known)));
      }
      return [];
    },
    takeMissed() {
      const was = hasMissed;
      hasMissed = false;
      return was;
    },
  };
}

async function dropAllNotes(control: Redis, own: readonly string[], group: string): Promise<void> {
  let cursor = '0';
  do cursor = asText(asList(await dropNotes(control, own, [group, cursor]))[0]);
  while (cursor !== '0');
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
