import { readdir, stat, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { keysOf, peekLayout } from '@millrace/bus';
import { asEntries, asFields, asList, asText, createKeys } from '@millrace/redis-kit';
import type { Redis } from '@millrace/redis-kit';
import type { RedisServer } from '@millrace/testing/redis-server';
import { GROUP } from './consumer-settings.ts';

const keys = createKeys();

async function appendOnlyFile({ directory }: RedisServer): Promise<string> {
  const folder = join(directory, 'appendonlydir');
  const file = (await readdir(folder)).filter((name) => name.endsWith('.incr.aof')).toSorted((a, b) => a.localeCompare(b, 'en', { numeric: true })).at(-1);
  if (file === undefined) throw new Error('Redis has no append-only file');
  return join(folder, file);
}

/** The append-only file as it is now. */
export interface Written {
  readonly file: string;
  readonly size: number;
}

export async function readWritten(server: RedisServer): Promise<Written> {
  const file = await appendOnlyFile(server);
  return { file, size: (await stat(file)).size };
}

/**
 * kill -9, and a start. The kernel keeps what the process had written: nothing is lost but what an fsync in progress held up. With `onlyThis`
 * what was written later is lost too, as where the machine loses its power: up to a second with `appendfsync everysec`. Returns when it was killed.
 */
export async function killServer(server: RedisServer, onlyThis?: Written): Promise<number> {
  await server.kill();
  const at = Date.now();
  // Rewritten meanwhile: the size is another file's.
  if (onlyThis && (await appendOnlyFile(server)) === onlyThis.file) await truncate(onlyThis.file, onlyThis.size);
  await server.restart();
  return at;
}

/** What the group has not finished in Redis, and what it leaves behind there. */
export interface Leftovers {
  readonly pending: number;
  readonly putOff: number;
  /** Notes of entries that were handled singly. */
  readonly attempts: number;
  readonly deadLetters: number;
  /** Most consumers of a partition. */
  readonly consumers: number;
}

export async function readLeftovers(redis: Redis, topic: string): Promise<Leftovers> {
  let sum: Leftovers = { pending: 0, putOff: 0, attempts: 0, deadLetters: 0, consumers: 0 };
  for (const of of keysOf(keys, topic, (await peekLayout(redis, keys, topic)).current)) {
    const [pending, putOff, attempts, deadLetters, consumers] = await Promise.all([
      redis.xpending(of.stream, GROUP), redis.zcard(of.delayed(GROUP)), redis.hlen(of.attempts(GROUP)), redis.xlen(of.deadLetters(GROUP)), redis.xinfo('CONSUMERS', of.stream, GROUP),
    ]);
    sum = {
      pending: sum.pending + Number(asList(pending)[0]), putOff: sum.putOff + putOff, attempts: sum.attempts + attempts,
      deadLetters: sum.deadLetters + deadLetters, consumers: Math.max(sum.consumers, asList(consumers).length),
    };
  }
  return sum;
}

/** Why entries were parked. */
export async function readDeadLetters(redis: Redis, topic: string): Promise<string[]> {
  const letters: string[] = [];
  for (const of of keysOf(keys, topic, (await peekLayout(redis, keys, topic)).current)) {
    for (const { id, fields } of asEntries(await redis.xrange(of.deadLetters(GROUP), '-', '+', 'COUNT', 20))) letters.push(`${id} ${JSON.stringify(Object.fromEntries(asFields(fields)))}`);
  }
  return letters;
}

export interface Held {
  /** Ids by their stream. */
  readonly ids: ReadonlyMap<string, ReadonlySet<string>>;
  readonly entries: number;
  /** How often the most unlucky of them has been delivered: an entry is parked after five. */
  readonly mostDeliveries: number;
}

/** What a consumer holds unacknowledged. */
export async function heldBy(redis: Redis, topic: string, consumer: string): Promise<Held> {
  const ids = new Map<string, ReadonlySet<string>>();
  let [entries, mostDeliveries] = [0, 0];
  for (const { stream } of keysOf(keys, topic, (await peekLayout(redis, keys, topic)).current)) {
    const rows = asList(await redis.xpending(stream, GROUP, '-', '+', 1_000, consumer)).map(asList);
    if (rows.length > 0) ids.set(stream, new Set(rows.map(([id]) => asText(id))));
    entries += rows.length;
    mostDeliveries = Math.max(mostDeliveries, ...rows.map((row) => Number(row[3])));
  }
  return { ids, entries, mostDeliveries };
}

/** Has the group acknowledged all of them? */
export async function isFinished(redis: Redis, held: Held): Promise<boolean> {
  for (const [stream, ids] of held.ids) {
    const sorted = [...ids];
    const rows = asList(await redis.xpending(stream, GROUP, sorted[0] ?? '-', sorted.at(-1) ?? '+', 10_000));
    if (rows.some((row) => ids.has(asText(asList(row)[0])))) return false;
  }
  return true;
}
