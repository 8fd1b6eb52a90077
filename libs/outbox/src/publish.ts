import { randomUUID } from 'node:crypto';
import type { BusLogger, Topic } from '@millrace/bus';
import { splitStreamId } from '@millrace/redis-kit';
import type { Redis } from '@millrace/redis-kit';
import type { Pool, PoolClient } from 'pg';
import type { Fence, StreamState } from './append.ts';
import type { BatchSize } from './batch-size.ts';
import type { RelayMetrics } from './metrics.ts';
import type { RelaySink } from './sinks.ts';
import type { EventRow, Statements } from './statements.ts';

/** What publishing needs of the relay. */
export interface PublishDeps {
  readonly pool: Pool;
  /** Undefined where the bus is another broker's. */
  readonly redis: Redis | undefined;
  readonly statements: Statements;
  readonly appendTimeoutMs: number;
  readonly batchSize: BatchSize;
  readonly logger: BusLogger;
  readonly metrics: RelayMetrics;
  /** Still the active relay? Looked at before each commit. */
  isLeading(): boolean;
}

/** One partition of a topic as the active relay sees it. */
export interface RelayStream {
  readonly topic: Topic;
  /** In relay_batches and relay_state. */
  readonly name: string;
  readonly sink: RelaySink;
  readonly layoutId: string;
  /** Is the row's event of this partition? Heartbeats are of all. */
  readonly holds: (row: EventRow) => boolean;
  /** Undefined until the stream is known to hold everything that was published. */
  fence: Fence | undefined;
}

/** Another relay has set a newer epoch: this one must stop at once. */
export class SupersededError extends Error {
  override readonly name = 'SupersededError';
}

/** The stream is behind what was committed, is not ours any more, or its topic has moved to other partitions: establish the topic again. */
export class StreamLostError extends Error {
  override readonly name = 'StreamLostError';
  readonly stream: string;
  constructor(stream: string) {
    super(`stream ${stream} is not what was written to it`);
    this.stream = stream;
  }
}

async function append(deps: PublishDeps, stream: RelayStream, fence: Fence, rows: readonly EventRow[]): Promise<string> {
  const answer = await stream.sink.append(deps, fence, rows);
  if (answer.kind === 'ok') return answer.lastId;
  stream.fence = undefined;
  throw new StreamLostError(stream.topic.name);
}

export type Streams = readonly RelayStream[];

/** The fence's check without events. */
export const checkStream = async (deps: PublishDeps, stream: RelayStream): Promise<void> => {
  if (stream.fence) await append(deps, stream, stream.fence, []);
};

/**
 * Moves the oldest free rows to their streams, in batches (`BatchSize`): claimed, appended, recorded, committed. A crash at any point leaves
 * a batch's rows in the outbox (they may be in the stream already: repeated, which is harmless) or published. The next batch is claimed while
 * one is appended, but appended only after that one's commit. Goes on while batches are full and `mayGoOn`; tells whether the last one was full.
 */
export async function publishBatches(deps: PublishDeps, streams: Streams, mayGoOn: () => boolean): Promise<boolean> {
  for (let claimed = await claimBatch(deps, streams); ; ) {
    const next = claimed.isFull && mayGoOn() ? claimBatch(deps, streams) : undefined;
    // Looked at below, after this batch.
    next?.catch(() => undefined);
    try {
      await publishClaimed(deps, streams, claimed);
    } catch (error) {
      if (next) await next.then(giveBack, () => undefined);
      throw error;
    }
    if (!next) return claimed.isFull;
    claimed = await next;
  }
}

/** Rows that a transaction of `client` has taken out of the outbox. */
interface Claimed {
  readonly client: PoolClient;
  readonly rows: readonly EventRow[];
  /** There may be more. */
  readonly isFull: boolean;
}

const charactersOf = (rows: readonly EventRow[]): number => rows.reduce((sum, row) => sum + row[6].length, 0);

async function claimBatch({ pool, statements, batchSize }: PublishDeps, streams: Streams): Promise<Claimed> {
  const client = await pool.connect();
  try {
    await client.query('begin');
    const limit = batchSize.limit();
    const { rows } = await client.query({ name: 'outbox claim', text: statements.claim, values: [[...new Set(streams.map(({ topic }) => topic.name))], limit], rowMode: 'array' }).then(asEventRows);
    batchSize.weighed(rows.length, charactersOf(rows));
    return { client, rows, isFull: rows.length === limit };
  } catch (error) {
    await giveBack({ client });
    throw error;
  }
}

/** A connection that cannot even roll back is dropped, which rolls back too. */
async function giveBack({ client }: Pick<Claimed, 'client'>): Promise<void> {
  const isUsable = await client.query('rollback').then(
    () => true,
    () => false,
  );
  client.release(!isUsable);
}

async function publishClaimed(deps: PublishDeps, streams: Streams, claimed: Claimed): Promise<void> {
  const { client, rows } = claimed;
  try {
    const fences = rows.length > 0 ? await publishRows(deps, client, streams, rows) : [];
    if (!deps.isLeading()) throw new SupersededError('the leadership was lost before the commit');
    await client.query('commit');
    for (const [stream, fence] of fences) stream.fence = fence;
  } catch (error) {
    await giveBack(claimed);
    throw error;
  }
  client.release();
}

/** pg types a row in array mode as unknown[]; the statement's columns are all text. */
const asEventRows = ({ rows }: { readonly rows: readonly unknown[] }): { readonly rows: readonly EventRow[] } => ({ rows: rows.filter((row): row is EventRow => Array.isArray(row)) });

async function publishRows(deps: PublishDeps, client: PoolClient, streams: Streams, rows: readonly EventRow[]): Promise<readonly (readonly [RelayStream, Fence])[]> {
  const fences: (readonly [RelayStream, Fence])[] = [];
  for (const stream of streams) {
    const own = streams.length === 1 ? rows : rows.filter((row) => row[1] === stream.topic.name && stream.holds(row));
    const [first, last] = [own[0], own.at(-1)];
    if (!first || !last) continue;
    const name = stream.name;
    if (!stream.fence) throw new StreamLostError(name);
    const lastId = await append(deps, stream, stream.fence, own);
    fences.push([stream, { ...stream.fence, lastId }]);
    const [ms, number] = splitStreamId(lastId);
    await client.query({ name: 'outbox batch', text: deps.statements.insertBatch, values: [first[0], name, first[9], last[9], ms, number, own.length] });
    deps.metrics.batch(name, own.length);
  }
  return fences;
}

/**
 * Makes a stream ours: compares it with what was committed, appends again whatever it lacks (from the first batch whose id is above the
 * stream's last; everything of the last day where the stream or its epoch is gone), and sets a new epoch, which shuts out an older relay.
 * A replay that is cut short goes on where it was.
 */
export async function establishStream(deps: PublishDeps, stream: RelayStream): Promise<void> {
  const { pool, statements } = deps;
  const name = stream.name;
  await pool.query(statements.ensureState, [name, randomUUID()]);
  const known = (await pool.query<{ epoch: string; republish_from: string | null }>(statements.readState, [name])).rows[0];
  if (!known) throw new Error('relay_state has no row for the stream');
  const found = await stream.sink.read(deps);
  const from = earlier(await firstLostBatch(deps, name, found), known.republish_from);

  const epoch = randomUUID();
  // First here, then at the broker: a crash in between is found as a strange epoch, and nothing is skipped.
  const set = await pool.query(statements.setEpoch, [name, known.epoch, epoch, from]);
  if (set.rowCount === 0) throw new SupersededError('another relay has set a new epoch');
  await stream.sink.setEpoch(deps, epoch);

  if (from === null) {
    const last = (await pool.query<{ last_id: string }>(statements.lastBatch, [name])).rows[0];
    stream.fence = { layoutId: stream.layoutId, epoch, lastId: last?.last_id ?? '0-0' };
    return;
  }
  deps.metrics.lost(name);
  deps.logger.warn({ stream: name, fromBatch: from, lastId: found.lastId }, 'stream has lost entries: publishing them again');
  stream.fence = await replay(deps, stream, { layoutId: stream.layoutId, epoch, lastId: found.lastId }, from);
}

export async function firstLostBatch({ pool, statements }: PublishDeps, name: string, { epoch, lastId }: StreamState): Promise<string | null> {
  const [ms, number] = epoch === undefined ? [-1, 0] : splitStreamId(lastId);
  return (await pool.query<{ id: string | null }>(statements.firstLost, [name, ms, number])).rows[0]?.id ?? null;
}

const earlier = (a: string | null, b: string | null): string | null => {
  if (a === null || b === null) return a ?? b;
  return BigInt(a) < BigInt(b) ? a : b;
};

/** Appends the batches from `from` on again, in their old order, and records their new places. Returns the fence after the last one. */
async function replay(deps: PublishDeps, stream: RelayStream, start: Fence, from: string): Promise<Fence> {
  const { pool, statements } = deps;
  const name = stream.name;
  let fence = start;
  let total = 0;
  for (let next = from; ; ) {
    const batches = (await pool.query<{ id: string; entries: number }>(statements.batchesFrom, [name, next])).rows;
    let entries = 0;
    const limit = deps.batchSize.limit();
    const chunk = batches.filter((batch, index) => (entries += batch.entries) <= limit || index === 0);
    const [first, last] = [chunk[0], chunk.at(-1)];
    if (!first || !last) break;
    const all = (await pool.query({ text: statements.publishedRows, values: [stream.topic.name, first.id, last.id], rowMode: 'array' }).then(asEventRows)).rows;
    deps.batchSize.weighed(all.length, charactersOf(all));
    const rows = all.filter(stream.holds);
    if (!deps.isLeading()) throw new SupersededError('the leadership was lost during a replay');
    fence = { ...fence, lastId: await append(deps, stream, fence, rows) };
    const [ms, number] = splitStreamId(fence.lastId);
    const advanced = await pool.query(statements.advanceReplay, [name, first.id, last.id, ms, number, fence.epoch]);
    if (advanced.rowCount === 0) throw new SupersededError('another relay has set a new epoch');
    deps.metrics.republished(name, rows.length);
    total += rows.length;
    next = String(BigInt(last.id) + 1n);
  }
  if ((await pool.query(statements.endReplay, [name, fence.epoch])).rowCount === 0) throw new SupersededError('another relay has set a new epoch');
  deps.logger.info({ stream: name, events: total }, 'stream is complete again');
  return fence;
}
