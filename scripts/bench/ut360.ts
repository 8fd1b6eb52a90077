// npm run bench -- ut360: loads of subscribers and lookups at 214,000 subscribers, beside the same by hand. BENCH_SUBSCRIBERS makes it smaller.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createKysely, createPool, migrateSchema } from '@millrace/database';
import { closeRedis, connectRedis, keysFor, whenReady } from '@millrace/redis-kit';
import { writeSampleFiles } from '@millrace/sample-subscribers';
import { startRedisServer } from '@millrace/testing/redis-server';
import { createTestDatabase } from '@millrace/testing/servers';
import { migrations } from '../../apps/ut360-lookup/src/migrations/index.ts';
import type { BenchRow } from './support/measure.ts';
import { benchAnalytics } from './ut360/analytics.ts';
import { benchArpu, benchWhole } from './ut360/load.ts';
import { benchLookup } from './ut360/lookup.ts';
import { benchSegments } from './ut360/segments.ts';

const SUBSCRIBERS = Number(process.env['BENCH_SUBSCRIBERS'] ?? 214_000);

export async function run(): Promise<BenchRow[]> {
  const [database, redis, directory] = await Promise.all([createTestDatabase(), startRedisServer(['--hash-max-listpack-value', '4096']), mkdtemp(join(tmpdir(), 'millrace-bench-'))]);
  const pool = createPool({ url: database.url, name: 'bench', max: 4, statementTimeoutMs: 0 });
  const client = connectRedis(redis.url, { role: 'background', name: 'bench', silentSocketMs: 60_000 });
  try {
    await whenReady(client);
    await migrateSchema(createKysely<unknown>(pool), migrations);
    const stores = { pool, redis: client, keys: keysFor(redis.url) };
    const csv = await writeSampleFiles({ count: SUBSCRIBERS, directory: join(directory, 'csv'), formats: { arpu: 'csv' } });
    const paths = await writeSampleFiles({ count: SUBSCRIBERS, directory });
    const arpu = await benchArpu(stores, csv.arpu);
    const { rows, generation } = await benchWhole(stores, paths, { databaseUrl: database.url, redisUrl: redis.url, directory });
    const lookups = { redisUrl: redis.url, databaseUrl: database.url, generation, subscribers: SUBSCRIBERS };
    return [...arpu, ...rows, ...(await benchLookup(lookups)), ...(await benchAnalytics(stores, lookups)), ...(await benchSegments({ ...lookups, pool }))];
  } finally {
    await closeRedis(client);
    await pool.end();
    await redis.stop();
    await database.drop();
    await rm(directory, { recursive: true });
  }
}

if (import.meta.main) console.table(await run());
