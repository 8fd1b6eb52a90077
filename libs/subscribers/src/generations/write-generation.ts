import { openBulkWriter, sendByNode } from '@millrace/redis-kit';
import type { BulkWriter, Keys, Redis, SubscriberKeys } from '@millrace/redis-kit';
import type { Pool, PoolClient } from 'pg';
import { to as copyTo } from 'pg-copy-streams';
import { qualified } from '../load/tables.ts';
import { fromBytes, onBytes } from './byte-text.ts';
import { cellsOf, createGrouping, encodeSubscriber } from './encode-subscriber.ts';
import type { EncodedSubscriber, SubscriberRows } from './encode-subscriber.ts';
import { createIndexBatches } from './index-batches.ts';
import type { Triple } from './pointer.ts';
import { requireRoom } from './room.ts';
import { STREAMED, subscriberQuery } from './subscriber-rows.ts';

export interface WriteGenerationOptions {
  readonly redis: Redis;
  readonly keys: Keys;
  readonly generation: number;
  readonly triple: Triple;
  /** The newest month of ARPU. */
  readonly lastMonth: string | null;
  /** Rows that are expected, for the estimate of memory and for progress. */
  readonly expected: number;
  /** Facts that are kept in the hash of counts, such as the files' hashes. */
  readonly facts: Readonly<Record<string, string>>;
  readonly onProgress: (subscribers: number) => void;
  readonly signal: AbortSignal | undefined;
}

export type Counts = Record<string, number>;

export interface WrittenGeneration {
  readonly counts: Counts;
  /** Some subscribers as they were written, to compare. */
  readonly sample: readonly EncodedSubscriber[];
  /** Redis' memory for one subscriber: keys, fields and indexes. */
  readonly bytesPerSubscriber: number;
}

const MEASURED = 400;
const SAMPLE = 200;
/** A member of a sorted set and of two sets, without its name. */
const INDEX_BYTES = 250;

type CountedSubscribers = Record<'subscribers' | 'recommendations' | 'profiles' | 'arpu_subscribers' | 'profiles_without_recommendation' | 'arpu_without_profile', number>;
const noSubscribers = (): CountedSubscribers => ({ subscribers: 0, recommendations: 0, profiles: 0, arpu_subscribers: 0, profiles_without_recommendation: 0, arpu_without_profile: 0 });

function count(counts: CountedSubscribers, { recommendation, hasProfile, months }: EncodedSubscriber): void {
  counts.subscribers += 1;
  if (recommendation !== undefined) counts.recommendations += 1;
  if (hasProfile) counts.profiles += 1;
  if (months > 0) counts.arpu_subscribers += 1;
  if (hasProfile && recommendation === undefined) counts.profiles_without_recommendation += 1;
  if (months > 0 && !hasProfile) counts.arpu_without_profile += 1;
}

/** Adds one subscriber to the counts of a generation, those of its indexes too. */
export function countSubscriber(counts: Counts, subscriber: EncodedSubscriber): void {
  const counted = noSubscribers();
  count(counted, subscriber);
  const { serviceType, risk, clusterGroup } = subscriber;
  const labels = [['service', serviceType], ['risk', risk], ['cluster', clusterGroup]].flatMap(([kind, value]) => (value === undefined ? [] : [[`${kind}:${value}`, 1] as const]));
  for (const [name, by] of [...Object.entries(counted), ...labels]) if (by > 0) counts[name] = (counts[name] ?? 0) + by;
}

type OwnNames = Pick<SubscriberKeys, 'recommendation' | 'profile' | 'body'>;
const byteNames = (names: SubscriberKeys): OwnNames => ({ recommendation: onBytes((isdn) => names.recommendation(isdn)), profile: onBytes((isdn) => names.profile(isdn)), body: onBytes((isdn) => names.body(isdn)) });

/** The commands of one subscriber; the second word of each is its key. */
function commandsOf(names: OwnNames, { isdn, recommendation, profile, body }: EncodedSubscriber): string[][] {
  const own = [['HSET', names.profile(isdn), ...profile], ['SET', names.body(isdn), body]];
  return recommendation === undefined ? own : [['HSET', names.recommendation(isdn), ...recommendation], ...own];
}

/** Waits only where the writer says so: most commands are only put down. Their texts are of bytes. */
function put(writer: BulkWriter, commands: readonly (readonly string[])[]): Promise<void> | undefined {
  let room: Promise<void> | undefined;
  for (const command of commands) room = writer.write(command[1] ?? '', command, true) ?? room;
  return room;
}

const toText = (one: EncodedSubscriber): EncodedSubscriber => ({ ...one, isdn: fromBytes(one.isdn), body: fromBytes(one.body), profile: one.profile.map(fromBytes), recommendation: one.recommendation?.map(fromBytes) });

/** What one subscriber takes in Redis, by those that are there already. */
async function measure(redis: Redis, names: SubscriberKeys, written: readonly EncodedSubscriber[]): Promise<number> {
  const keys = written.flatMap((one) => commandsOf(names, one).map(([, key = '']) => key));
  const sizes = await sendByNode(redis, keys.map((key) => ({ key, name: 'MEMORY', args: ['USAGE', key] })));
  return sizes.reduce((sum: number, size) => sum + Number(size ?? 0), 0) / Math.max(1, written.length) + INDEX_BYTES + (3 * written.reduce((sum, { isdn }) => sum + isdn.length, 0)) / Math.max(1, written.length);
}

/** Rows of each subscriber of a COPY, as they come, their texts as bytes. `take` says when it can take no more for now; `onChunk` after each piece. */
async function readRows(client: PoolClient, query: string, { take, onChunk }: { readonly take: (rows: SubscriberRows) => Promise<void> | undefined; readonly onChunk: () => Promise<void> }): Promise<void> {
  const grouping = createGrouping();
  let rest = '';
  for await (const chunk of client.query(copyTo(`copy (${query}) to stdout with (null E'\\b')`))) {
    const lines = (rest + (Buffer.isBuffer(chunk) ? chunk.toString('latin1') : String(chunk))).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      const rows = grouping.add(cellsOf(line));
      const room = rows === undefined ? undefined : take(rows);
      if (room !== undefined) await room;
    }
    await onChunk();
  }
  const last = grouping.end();
  if (last !== undefined) await take(last);
  await onChunk();
}

/**
 * Writes one whole generation of Redis keys from a triple of tables. Nobody reads it before the pointer names it. Rejects with
 * LoadNotPossibleError where it would not fit, which is found out by the first hundreds; what was written then stays for the caller to remove.
 */
export async function writeGeneration(pool: Pool, options: WriteGenerationOptions): Promise<WrittenGeneration> {
  const writer = await openBulkWriter(options.redis);
  const client = await pool.connect();
  try {
    await client.query(STREAMED);
    return await writeFrom(client, writer, options);
  } finally {
    // Whoever removes the keys of one that failed must not be overtaken by them.
    await writer.close();
    // A COPY that nobody reads to its end keeps its connection busy for ever.
    client.release(true);
  }
}

async function writeFrom(client: PoolClient, writer: BulkWriter, options: WriteGenerationOptions): Promise<WrittenGeneration> {
  const { redis, keys, generation, triple, lastMonth, expected, facts, onProgress, signal } = options;
  const names = keys.subscribers(generation);
  const own = byteNames(names);
  const tables = { recommendations: qualified('recommendations', triple.recommendations), profiles: qualified('profiles', triple.profiles), arpu: qualified('arpu', triple.arpu), lastMonth };
  const counted = noSubscribers();
  const indexes = createIndexBatches(names);
  const sample: EncodedSubscriber[] = [];
  const measured: EncodedSubscriber[] = [];
  const every = Math.max(1, Math.ceil(expected / SAMPLE));
  let isMeasured = false;
  const take = (rows: SubscriberRows): Promise<void> | undefined => {
    const subscriber = encodeSubscriber(rows, lastMonth);
    count(counted, subscriber);
    indexes.add(subscriber);
    if (measured.length < MEASURED) measured.push(toText(subscriber));
    if (counted.subscribers > sample.length * every) sample.push(toText(subscriber));
    return put(writer, commandsOf(own, subscriber));
  };
  await readRows(client, subscriberQuery(tables), { take, async onChunk() {
    signal?.throwIfAborted();
    await put(writer, indexes.take(false));
    const done = counted.subscribers;
    if (!isMeasured && done >= Math.min(MEASURED, expected)) {
      isMeasured = true;
      await writer.drain();
      await requireRoom(redis, (await measure(redis, names, measured)) * Math.max(0, expected - done));
    }
    onProgress(done);
  } });
  await put(writer, indexes.take(true));
  // The last word: where it is, all of it is.
  await writer.drain();
  const counts = { ...counted, ...indexes.counts() };
  await writer.write(names.stats, ['HSET', names.stats, ...Object.entries({ ...counts, ...facts }).flatMap(([name, value]) => [name, String(value)])]);
  await writer.drain();
  return { counts, sample, bytesPerSubscriber: await measure(redis, names, sample) };
}

/** Compares a generation with what was written: counts of every index, and some subscribers wholly. Returns what is wrong. */
export async function checkGeneration(redis: Redis, keys: Keys, generation: number, { counts, sample }: Pick<WrittenGeneration, 'counts' | 'sample'>): Promise<string[]> {
  const names = keys.subscribers(generation);
  const sizes = indexSizes(names, counts);
  const found = await sendByNode(redis, sizes.map(({ key, command }) => ({ key, name: command, args: [key] })));
  const problems = sizes.flatMap(({ what, size }, at) => (found[at] === size ? [] : [`${what} has ${String(found[at])} members, ${size} were written`]));
  const answers = await sendByNode(redis, sample.map(({ isdn }) => ({ key: names.body(isdn), name: 'GET', args: [names.body(isdn)] })));
  const hashes = await sendByNode(redis, sample.map(({ isdn }) => ({ key: names.profile(isdn), name: 'HLEN', args: [names.profile(isdn)] })));
  const wrong = sample.filter(({ body, profile }, at) => answers[at] !== body || hashes[at] !== profile.length / 2).length;
  return wrong === 0 ? problems : [...problems, `${wrong} of ${sample.length} compared subscribers are not what was written`];
}

export interface IndexSize {
  readonly what: string;
  readonly key: string;
  readonly command: 'ZCARD' | 'SCARD';
  readonly size: number;
}

/** The indexes that these counts tell of, and how many members each should have. */
export function indexSizes(names: SubscriberKeys, counts: Readonly<Counts>): IndexSize[] {
  return Object.entries(counts).flatMap(([what, size]): IndexSize[] => {
    const [, kind, value = ''] = /^(service|risk|cluster):(.*)$/s.exec(what) ?? [];
    if (kind === 'service') return [{ what, key: names.service(value), command: 'ZCARD', size }];
    if (kind === 'risk') return [{ what, key: names.risk(value), command: 'SCARD', size }];
    return kind === 'cluster' ? [{ what, key: names.cluster(value), command: 'SCARD', size }] : [];
  });
}
