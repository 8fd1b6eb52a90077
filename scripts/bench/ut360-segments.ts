// npm run bench -- ut360-segments: the rows of segments of `ut360` alone, with recommendations only. BENCH_SUBSCRIBERS makes it smaller.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createKysely, createPool, migrateSchema } from '@millrace/database';
import { closeRedis, connectRedis, keysFor, whenReady } from '@millrace/redis-kit';
import { writeSampleFiles } from '@millrace/sample-subscribers';
import { loadFiles } from '@millrace/subscribers';
import { startRedisServer } from '@millrace/testing/redis-server';
import { createTestDatabase } from '@millrace/testing/servers';
import { migrations } from '../../apps/ut360-lookup/src/migrations/index.ts';
import type { BenchRow } from './support/measure.ts';
import { benchSegments } from './ut360/segments.ts';

const SUBSCRIBERS = Number(process.env['BENCH_SUBSCRIBERS'] ?? 214_000);

export async function run(): Promise<BenchRow[]> {
  const [database, redis, directory] = await Promise.all([createTestDatabase(), startRedisServer(), mkdtemp(join(tmpdir(), 'millrace-bench-'))]);
  const pool = createPool({ url: database.url, name: 'bench', max: 4, statementTimeoutMs: 0 });
  const client = connectRedis(redis.url, { role: 'background', name: 'bench', silentSocketMs: 60_000 });
  try {
    await whenReady(client);
    await migrateSchema(createKysely<unknown>(pool), migrations);
    const { recommendations: path } = await writeSampleFiles({ count: SUBSCRIBERS, directory });
    await loadFiles({ pool, redis: client, keys: keysFor(redis.url) }, { files: { recommendations: { path } }, limit: { share: 0 }, keep: 1 });
    return await benchSegments({ databaseUrl: database.url, redisUrl: redis.url, pool });
  } finally {
    await closeRedis(client);
    await pool.end();
    await redis.stop();
    await database.drop();
    await rm(directory, { recursive: true });
  }
}

if (import.meta.main) console.table(await run());
