import { createRedisStreamsBus } from '@millrace/bus';
import { interactions } from '@millrace/contracts';
import type { NewInteraction } from '@millrace/contracts';
import { closeRedis, connectRedis } from '@millrace/redis-kit';
import type { Pool } from 'pg';
import { createInteractionStore } from '../../../apps/event-ingest/src/interaction.repository.ts';
import { createMonthPartitions } from '../../../apps/event-ingest/src/month-partitions.ts';
import { WRITER_STATEMENTS, writeInteractions } from '../../../apps/event-ingest/src/write-interactions.ts';
import { alternate, median, msOf, row } from '../support/measure.ts';
import type { BenchRow } from '../support/measure.ts';

const EVENTS = 10_000;
const BATCH = 500;
const PAIRS = 7;
const USERS = 2_000;
const ITEMS = 500;

/** What a program by hand would send: rows, and nothing that looks after users, items, merges or partitions. */
const RAW = `insert into events.interaction_logs (event_id, user_id, asin, event_type, ts, metadata, month)
  select event_id, user_id, asin, event_type::events.interaction_type, ts, metadata::jsonb, month
  from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::text[], $7::date[]) as given(event_id, user_id, asin, event_type, ts, metadata, month) on conflict do nothing`;

let serial = 0;
const eventsOf = (): (NewInteraction & { readonly meta: { readonly id: string; readonly timestamp: string } })[] =>
  Array.from({ length: EVENTS }, (_, n) => {
    const timestamp = new Date().toISOString();
    return {
      type: 'view', user_id: `u${n % USERS}`, asin: `P-${n % ITEMS}`, month: timestamp.slice(0, 7), category: 'Audio', brand: 'Brand', metadata: { page: 'detail', position: n % 20 },
      meta: { id: `${crypto.randomUUID()}-${(serial += 1)}`, timestamp },
    };
  });

async function rawRun(pool: Pool): Promise<number> {
  const events = eventsOf();
  const ms = await msOf(async () => {
    for (let start = 0; start < EVENTS; start += BATCH) {
      const batch = events.slice(start, start + BATCH);
      await pool.query({
        name: 'raw', text: RAW,
        values: [batch.map(({ meta }) => meta.id), batch.map((event) => event.user_id), batch.map(({ asin }) => asin), batch.map(({ type }) => type), batch.map(({ meta }) => meta.timestamp), batch.map(({ metadata, category, brand }) => JSON.stringify({ ...metadata, category, brand })), batch.map(({ month }) => `${month}-01`)],
      });
    }
  });
  return (EVENTS / ms) * 1_000;
}

/** The writer from the stream to the acknowledgement, against unnest-500 from memory into the same table, indexes and foreign keys. Both leave as many rows. */
export async function benchWriter(redisUrl: string, pool: Pool): Promise<BenchRow[]> {
  const partitions = createMonthPartitions(pool);
  await partitions.ensureAhead();
  await pool.query(`insert into events.users (user_id) select 'u' || n from generate_series(0, ${USERS - 1}) n on conflict do nothing`);
  await pool.query(`insert into events.items (sku) select 'P-' || n from generate_series(0, ${ITEMS - 1}) n on conflict do nothing`);
  const redis = connectRedis(redisUrl, { role: 'background', name: 'bench' });
  const bus = createRedisStreamsBus({ connect: (role) => connectRedis(redisUrl, { role, name: 'bench' }) });
  const store = createInteractionStore(pool, partitions);
  const group = 'bench-writer';
  const run = async (): Promise<number> => {
    await redis.unlink(interactions.name);
    await redis.xgroup('CREATE', interactions.name, group, '0', 'MKSTREAM');
    await bus.publish(interactions, eventsOf());
    const done = Promise.withResolvers<void>();
    let written = 0;
    const handle = writeInteractions({ store, onWritten: () => undefined });
    const startMs = performance.now();
    const subscription = await bus.subscribe(interactions, { group, batchSize: WRITER_STATEMENTS * BATCH }, async (events) => {
      await handle(events);
      written += events.length;
      if (written >= EVENTS) done.resolve();
    });
    await done.promise;
    // Closing acknowledges what is in hand: it is part of the work.
    await subscription.close();
    return (EVENTS / (performance.now() - startMs)) * 1_000;
  };
  try {
    const { a, b, ratio } = await alternate(PAIRS, run, () => rawRun(pool));
    return [row('writer, stream to Postgres', median(a), { unit: 'rows/s', baseline: median(b), ratio, ratioAtLeast: 0.75 })];
  } finally {
    await bus.close();
    await closeRedis(redis);
  }
}
