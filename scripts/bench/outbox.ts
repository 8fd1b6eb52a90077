// npm run bench -- outbox, or: node scripts/bench/outbox.ts with TEST_DATABASE_URL and TEST_REDIS_URL. The relay against the same loops without our library.
import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { defineTopic } from '@millrace/bus';
import { createOutboxTables, createOutboxWaker, createRelay, outboxChannel } from '@millrace/outbox';
import { closeRedis, connectRedis } from '@millrace/redis-kit';
import type { Redis } from '@millrace/redis-kit';
import { Kysely, PostgresDialect } from 'kysely';
import { Client, Pool } from 'pg';
import { z } from 'zod';
import { alternate, median, row } from './support/measure.ts';
import type { BenchRow, Pairs } from './support/measure.ts';

const PAIRS = 9;
const DRAIN = 20_000;
const SINGLES = 60;
const BATCH = 2_000;
/** As long as the JSON of an icecat product in the middle. */
const PAYLOAD_BYTES = 700;

function serverUrl(name: 'TEST_DATABASE_URL' | 'TEST_REDIS_URL'): string {
  const url = process.env[name];
  if (url === undefined || url === '') throw new Error(`${name} is not set`);
  return url;
}

/** A schema with an outbox, a stream, and the connections of one contestant. */
interface Lane {
  readonly schema: string;
  readonly stream: string;
  readonly pool: Pool;
  readonly redis: Redis;
  close(): Promise<void>;
}

async function openLane(name: string): Promise<Lane> {
  const schema = `bench_${name}_${randomBytes(4).toString('hex')}`;
  const pool = new Pool({ connectionString: serverUrl('TEST_DATABASE_URL'), max: 4 });
  await pool.query(`create schema ${schema}`);
  await createOutboxTables(new Kysely({ dialect: new PostgresDialect({ pool }) }), { schema });
  const redis = connectRedis(serverUrl('TEST_REDIS_URL'), { role: 'blocking', name: 'bench outbox' });
  return {
    schema, stream: schema, pool, redis,
    async close() {
      await pool.query(`drop schema ${schema} cascade`);
      await pool.end();
      await redis.unlink(schema, `${schema}:epoch`);
      await closeRedis(redis);
    },
  };
}

const write = ({ pool, schema, stream }: Lane, count: number): Promise<unknown> =>
  pool.query(
    `insert into ${schema}.outbox (stream, event_type, key, version, data)
     select $1, 'update', 'sku-' || n, n, '{"name":"' || repeat('x', ${PAYLOAD_BYTES}) || '"}' from generate_series(1, $2::int) as n`,
    [stream, count],
  );

/** `plain` deletes, `move` keeps a copy for a replay, as the relay does. */
const claims = {
  plain: (schema: string) => `
    with claimed as (delete from ${schema}.outbox where seq = any(array(select seq from ${schema}.outbox order by seq limit ${BATCH} for update skip locked)) returning *)
    select seq::text as seq, event_id::text as event_id, event_type, key, version::text as version, data, created_at::text as created_at from claimed order by claimed.seq`,
  move: (schema: string) => `
    with claimed as (delete from ${schema}.outbox where seq = any(array(select seq from ${schema}.outbox order by seq limit ${BATCH} for update skip locked)) returning *),
    moved as (insert into ${schema}.outbox_published (batch_id, seq, event_id, stream, event_type, key, version, data, traceparent, created_at) select 1, seq, event_id, stream, event_type, key, version, data, traceparent, created_at from claimed)
    select seq::text as seq, event_id::text as event_id, event_type, key, version::text as version, data, created_at::text as created_at from claimed order by claimed.seq`,
};
type Claim = keyof typeof claims;
type RawRow = Record<'seq' | 'event_id' | 'event_type' | 'key' | 'version' | 'data' | 'created_at', string>;

/** One transaction of the loop that everybody writes first: claim, pipelined XADD, commit. */
async function rawBatch({ pool, redis, schema, stream }: Lane, claim: Claim): Promise<number> {
  const client = await pool.connect();
  try {
    await client.query('begin');
    const { rows } = await client.query<RawRow>({ name: `raw ${claim}`, text: claims[claim](schema) });
    const pipeline = redis.pipeline();
    for (const event of rows) {
      pipeline.xadd(stream, '*', 'event_type', event.event_type, 'product_id', event.key, 'timestamp', event.created_at, 'data', event.data, 'id', event.event_id, 'version', event.version, 'schema', '1');
    }
    if (rows.length > 0) await pipeline.exec();
    await client.query('commit');
    return rows.length;
  } finally {
    client.release();
  }
}

const startRelay = (lane: Lane) =>
  createRelay({
    pool: lane.pool,
    directUrl: serverUrl('TEST_DATABASE_URL'),
    connect: () => connectRedis(serverUrl('TEST_REDIS_URL'), { role: 'background', name: 'bench relay' }),
    schema: lane.schema,
    topics: [defineTopic(lane.stream, { update: z.object({ name: z.string() }) }, { schemaVersion: 1, keyField: 'product_id', keyOf: () => '' })],
  });

/** Events a second of a stream by the times in its ids, from the end of the first batch on: becoming active is not the drain, and nobody polls. */
async function rateOf({ redis, stream }: Lane): Promise<number> {
  const ids = (await redis.xrange(stream, '-', '+')).map(([id]) => Number(id.split('-')[0]));
  const first = ids.findIndex((_ms, index) => index >= BATCH - 1);
  return (ids.length - first - 1) / (((ids.at(-1) ?? 0) - (ids[first] ?? 0)) / 1_000);
}

async function drainByRelay(lane: Lane): Promise<number> {
  await write(lane, DRAIN);
  const relay = startRelay(lane);
  while ((await lane.redis.xlen(lane.stream)) < DRAIN) await delay(40);
  await relay.close();
  return finishDrain(lane);
}

async function drainByRawLoop(lane: Lane, claim: Claim): Promise<number> {
  await write(lane, DRAIN);
  while ((await rawBatch(lane, claim)) > 0);
  return finishDrain(lane);
}

async function finishDrain(lane: Lane): Promise<number> {
  const rate = await rateOf(lane);
  await lane.redis.del(lane.stream);
  await clean(lane);
  return rate;
}

/** So that a run does not pay for the one before it. */
async function clean({ pool, schema }: Lane): Promise<void> {
  await pool.query(`truncate ${schema}.outbox_published, ${schema}.relay_batches, ${schema}.relay_state`);
  await pool.query(`vacuum ${schema}.outbox`);
}

/** Milliseconds from a commit until a reader that waits on the stream has the entry. */
async function timeSingles(lane: Lane, wake: () => void): Promise<number> {
  const reader = connectRedis(serverUrl('TEST_REDIS_URL'), { role: 'blocking', name: 'bench reader' });
  const times: number[] = [];
  for (let n = 0; n < SINGLES; n += 1) {
    const last = (await lane.redis.xrevrange(lane.stream, '+', '-', 'COUNT', 1))[0]?.[0] ?? '0-0';
    const arrived = reader.xread('BLOCK', 2_000, 'STREAMS', lane.stream, last).then(() => performance.now());
    await write(lane, 1);
    const committed = performance.now();
    wake();
    times.push((await arrived) - committed);
    // The commit of the relay's own transaction is not part of the next one.
    await delay(2);
  }
  await closeRedis(reader);
  return median(times);
}

async function singlesByRelay(lane: Lane): Promise<number> {
  const relay = startRelay(lane);
  const waker = createOutboxWaker(lane.pool, { channel: outboxChannel(lane.schema) });
  await write(lane, 1);
  while ((await lane.redis.xlen(lane.stream)) < 1) await delay(5);
  const time = await timeSingles(lane, () => waker.wake());
  await relay.close();
  return time;
}

async function singlesByRawLoop(lane: Lane): Promise<number> {
  const listener = new Client({ connectionString: serverUrl('TEST_DATABASE_URL') });
  await listener.connect();
  await listener.query(`listen ${lane.schema}`);
  let running = Promise.resolve(0);
  listener.on('notification', () => {
    running = running.then(() => rawBatch(lane, 'move'));
  });
  const time = await timeSingles(lane, () => void lane.pool.query('select pg_notify($1, $2)', [lane.schema, '']));
  await running;
  await listener.end();
  return time;
}

/** Once each to warm up, then the pairs. */
async function inPairs(ours: () => Promise<number>, raw: () => Promise<number>): Promise<Pairs> {
  await ours();
  await raw();
  return alternate(PAIRS, ours, raw);
}

export async function run(): Promise<BenchRow[]> {
  const relay = await openLane('relay');
  const raw = await openLane('raw');
  try {
    const plain = await inPairs(() => drainByRelay(relay), () => drainByRawLoop(raw, 'plain'));
    const moving = await inPairs(() => drainByRelay(relay), () => drainByRawLoop(raw, 'move'));
    const single = await inPairs(() => singlesByRelay(relay), () => singlesByRawLoop(raw));
    const drain = (against: string, { a, b, ratio }: Pairs): BenchRow =>
      row(`outbox drain, against ${against}`, median(a), { unit: 'events/s', baseline: median(b), ratio, ratioAtLeast: 0.8 });
    return [
      drain('DELETE + pipelined XADD', plain),
      drain('the same with the copy for a replay', moving),
      row('commit to stream p50', median(single.a), { unit: 'ms', baseline: median(single.b), ratio: single.ratio, ratioAtMost: 1.5 }),
    ];
  } finally {
    await relay.close();
    await raw.close();
  }
}

if (import.meta.main) console.table(await run());
