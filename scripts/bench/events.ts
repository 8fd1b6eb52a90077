// npm run bench -- events: event-ingest's endpoint and writer against the same by hand, and the memory of the live context.
import { createKysely, createPool, migrateSchema } from '@millrace/database';
import { startRedisServer } from '@millrace/testing/redis-server';
import { createTestDatabase } from '@millrace/testing/servers';
import { migrations } from '../../apps/event-ingest/src/migrations/index.ts';
import { benchEndpoint } from './events/endpoint.ts';
import { benchMemory } from './events/memory.ts';
import { benchWriter } from './events/writer.ts';
import type { BenchRow } from './support/measure.ts';

export async function run(): Promise<BenchRow[]> {
  const [database, redis] = await Promise.all([createTestDatabase(), startRedisServer(['--appendonly', 'yes', '--appendfsync', 'everysec'])]);
  const pool = createPool({ url: database.url, name: 'bench', max: 4 });
  try {
    await migrateSchema(createKysely<unknown>(pool), migrations);
    // The catalogue of a shop is known.
    await pool.query(`insert into events.items (sku, version, category, brand) select 'P-' || n, 1, 'Audio', 'Brand' from generate_series(0, 999) n`);
    return [...(await benchEndpoint({ redisUrl: redis.url, databaseUrl: database.url })), ...(await benchWriter(redis.url, pool)), ...(await benchMemory())];
  } finally {
    await pool.end();
    await redis.stop();
    await database.drop();
  }
}

if (import.meta.main) console.table(await run());
