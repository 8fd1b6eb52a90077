import { openBulkWriter, sendByNode } from '@millrace/redis-kit';
import type { BulkWriter, Keys, Redis, SubscriberKeys } from '@millrace/redis-kit';
import type { Pool, PoolClient } from 'pg';
import { to as copyTo } from 'pg-copy-streams';
import { LoadRefusedError } from '../errors.ts';
import { qualified } from '../load/tables.ts';
import { cellsOf, encodeSubscriber, subscriberQuery } from './encode-subscriber.ts';
import type { EncodedSubscriber } from './encode-subscriber.ts';
import type { Triple } from './pointer.ts';
import { requireRoom } from './room.ts';

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

/** Small: what lives through a batch is not garbage that is easy to collect. */
const BATCH = 64;
const ASCII = /^[\t\x20-\x7e]*$/;
const INDEX_MEMBERS = 500;
const MEASURED = 400;
const SAMPLE = 200;
/** Different services, risks and clusters; each has an index and a count. */
const MAX_LABELS = 10_000;
/** A member of a sorted set and of two sets, without its name. */
const INDEX_BYTES = 250;

interface Indexes {
  add(subscriber: EncodedSubscriber): void;
  /** What is due, or everything. */
  take(all: boolean): string[][];
}

/** Members are gathered, so that an index gets them by the hundred. */
function createIndexes(names: SubscriberKeys): Indexes {
  const sets = new Map<string, { readonly name: 'ZADD' | 'SADD'; members: string[] }>();
  const put = (name: 'ZADD' | 'SADD', key: string, ...members: string[]): void => {
    const known = sets.get(key);
    if (sets.size > MAX_LABELS) throw new LoadRefusedError(`service_type and cluster_group have more than ${MAX_LABELS} different values: are they the right columns (--mapping)?`);
    if (known === undefined) sets.set(key, { name, members });
    else known.members.push(...members);
  };
  return {
    add({ isdn, serviceType, risk, clusterGroup, priority }) {
      if (serviceType !== undefined) put('ZADD', names.service(serviceType), priority ?? '0', isdn);
      if (risk !== undefined) put('SADD', names.risk(risk), isdn);
      if (clusterGroup !== undefined) put('SADD', names.cluster(clusterGroup), isdn);
    },
    take(all) {
      const due = [...sets].filter(([, { members }]) => members.length > 0 && (all || members.length >= INDEX_MEMBERS));
      return due.map(([key, set]) => {
        const command = [set.name, key, ...set.members];
        set.members = [];
        return command;
      });
    },
  };
}

/** Adds one subscriber to the counts of a generation. */
export function countSubscriber(counts: Counts, { recommendation, hasProfile, months, serviceType, risk, clusterGroup }: EncodedSubscriber): void {
  const add = (name: string, by = 1): void => { counts[name] = (counts[name] ?? 0) + by; };
  add('subscribers');
  if (recommendation !== undefined) add('recommendations');
  if (hasProfile) add('profiles');
  if (months > 0) add('arpu_subscribers');
  if (hasProfile && recommendation === undefined) add('profiles_without_recommendation');
  if (months > 0 && !hasProfile) add('arpu_without_profile');
  if (serviceType !== undefined) add(`service:${serviceType}`);
  if (risk !== undefined) add(`risk:${risk}`);
  if (clusterGroup !== undefined) add(`cluster:${clusterGroup}`);
}

/** The commands of one subscriber; the second word of each is its key. */
function commandsOf(names: SubscriberKeys, { isdn, recommendation, profile, body }: EncodedSubscriber): string[][] {
  const own = [['HSET', names.profile(isdn), ...profile], ['SET', names.body(isdn), body]];
  return recommendation === undefined ? own : [['HSET', names.recommendation(isdn), ...recommendation], ...own];
}

/** Waits only where the writer says so: most commands are only put down. */
async function writeAll(writer: BulkWriter, commands: readonly (readonly string[])[], isAscii = false): Promise<void> {
  for (const command of commands) {
    const room = writer.write(command[1] ?? '', command, isAscii);
    if (room !== undefined) await room;
  }
}

/** What one subscriber takes in Redis, by those that are there already. */
async function measure(redis: Redis, names: SubscriberKeys, written: readonly EncodedSubscriber[]): Promise<number> {
  const keys = written.flatMap((one) => commandsOf(names, one).map(([, key = '']) => key));
  const sizes = await sendByNode(redis, keys.map((key) => ({ key, name: 'MEMORY', args: ['USAGE', key] })));
  return sizes.reduce((sum: number, size) => sum + Number(size ?? 0), 0) / Math.max(1, written.length) + INDEX_BYTES + 3 * (written[0]?.isdn.length ?? 0);
}

/** Lines of a COPY, by the hundred. */
async function* lineBatches(client: PoolClient, query: string): AsyncGenerator<string[]> {
  const decoder = new TextDecoder();
  let rest = '';
  let batch: string[] = [];
  for await (const chunk of client.query(copyTo(`copy (${query}) to stdout`))) {
    const lines = (rest + decoder.decode(Buffer.isBuffer(chunk) ? chunk : Buffer.from(String(chunk)), { stream: true })).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      batch.push(line);
      if (batch.length < BATCH) continue;
      yield batch;
      batch = [];
    }
  }
  if (batch.length > 0) yield batch;
}

/**
 * Writes one whole generation of Redis keys from a triple of tables. Nobody reads it before the pointer names it. Rejects with
 * LoadNotPossibleError where it would not fit, which is found out by the first hundreds; what was written then stays for the caller to remove.
 */
export async function writeGeneration(pool: Pool, options: WriteGenerationOptions): Promise<WrittenGeneration> {
  const writer = await openBulkWriter(options.redis);
  const client = await pool.connect();
  try {
    await client.query(`set statement_timeout = 0; set work_mem = '64MB'`);
    return await writeFrom(client, writer, options);
  } finally {
    writer.close();
    // A COPY that nobody reads to its end keeps its connection busy for ever.
    client.release(true);
  }
}

async function writeFrom(client: PoolClient, writer: BulkWriter, options: WriteGenerationOptions): Promise<WrittenGeneration> {
  const { redis, keys, generation, triple, lastMonth, expected, facts, onProgress, signal } = options;
  const names = keys.subscribers(generation);
  const tables = { recommendations: qualified('recommendations', triple.recommendations), profiles: qualified('profiles', triple.profiles), arpu: qualified('arpu', triple.arpu), lastMonth };
  const counts: Counts = { subscribers: 0, recommendations: 0, profiles: 0, arpu_subscribers: 0 };
  const indexes = createIndexes(names);
  const sample: EncodedSubscriber[] = [];
  const measured: EncodedSubscriber[] = [];
  const every = Math.max(1, Math.ceil(expected / SAMPLE));
  let bytesPerSubscriber = 0;
  for await (const lines of lineBatches(client, subscriberQuery(tables))) {
    signal?.throwIfAborted();
    for (const line of lines) {
      const subscriber = encodeSubscriber(cellsOf(line));
      if (measured.length < MEASURED) measured.push(subscriber);
      countSubscriber(counts, subscriber);
      indexes.add(subscriber);
      await writeAll(writer, commandsOf(names, subscriber), ASCII.test(line));
    }
    await writeAll(writer, indexes.take(false));
    const done = counts['subscribers'] ?? 0;
    const last = lines.at(-1);
    if (last !== undefined && done >= sample.length * every) sample.push(encodeSubscriber(cellsOf(last)));
    if (bytesPerSubscriber === 0 && (done >= MEASURED || done >= expected)) {
      await writer.drain();
      bytesPerSubscriber = await measure(redis, names, measured);
      await requireRoom(redis, bytesPerSubscriber * Math.max(0, expected - done));
    }
    onProgress(done);
  }
  await writeAll(writer, indexes.take(true));
  // The last word: where it is, all of it is.
  await writer.drain();
  await writeAll(writer, [['HSET', names.stats, ...Object.entries({ ...counts, ...facts }).flatMap(([name, value]) => [name, String(value)])]]);
  await writer.drain();
  return { counts, sample, bytesPerSubscriber };
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
