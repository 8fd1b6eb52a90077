// npm run bench -- ut360 [SUBSCRIBERS]: loads of subscribers and lookups at 214,000 subscribers, beside the same by hand.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createKysely, createPool, migrateSchema } from '@millrace/database';
import { closeRedis, connectRedis, keysFor, whenReady } from '@millrace/redis-kit';
import { writeSampleFiles } from '@millrace/sample-subscribers';
import type { Stores } from '@millrace/subscribers';
import { startRedisServer } from '@millrace/testing/redis-server';
import { createTestDatabase } from '@millrace/testing/servers';
import { z } from 'zod';
import { migrations } from '../../apps/ut360-lookup/src/migrations/index.ts';
import type { BenchRow } from './support/measure.ts';
import { benchAnalytics } from './ut360/analytics.ts';
import { benchArpu } from './ut360/arpu.ts';
import { benchGeneration } from './ut360/generation.ts';
import { benchLoads } from './ut360/load.ts';
import type { LoadPlace } from './ut360/load.ts';
import { benchLookup } from './ut360/lookup.ts';
import { benchSegments } from './ut360/segments.ts';

const SUBSCRIBERS = 214_000;
/** As `npm start` sets it. */
const REDIS = ['--hash-max-listpack-value', '4096'];

interface Place extends LoadPlace {
  readonly stores: Stores;
  close(): Promise<void>;
}

/** A database with the schema of subscribers, and a Redis. */
async function openPlace(): Promise<Place> {
  const [database, server] = await Promise.all([createTestDatabase(), startRedisServer(REDIS)]);
  const pool = createPool({ url: database.url, name: 'bench', max: 4, statementTimeoutMs: 0 });
  await migrateSchema(createKysely<unknown>(pool), migrations);
  const redis = connectRedis(server.url, { role: 'background', name: 'bench', silentSocketMs: 60_000 });
  await whenReady(redis);
  return {
    databaseUrl: database.url, redisUrl: server.url, stores: { pool, redis, keys: keysFor(server.url) },
    async close() {
      await closeRedis(redis);
      await pool.end();
      await server.stop();
      await database.drop();
    },
  };
}

export async function run([count]: readonly string[] = []): Promise<BenchRow[]> {
  const subscribers = z.coerce.number().int().min(1_000).max(2_000_000).default(SUBSCRIBERS).parse(count);
  const directory = await mkdtemp(join(tmpdir(), 'millrace-bench-'));
  const open: Place[] = [];
  const place = async (): Promise<Place> => {
    const opened = await openPlace();
    open.push(opened);
    return opened;
  };
  const close = async (places: readonly Place[]): Promise<void> => {
    for (const one of places) {
      open.splice(open.indexOf(one), 1);
      await one.close();
    }
  };
  try {
    const csv = await writeSampleFiles({ count: subscribers, directory: join(directory, 'csv'), formats: { arpu: 'csv' } });
    const paths = await writeSampleFiles({ count: subscribers, directory });
    const main = await place();
    const arpu = await benchArpu(main.stores, csv.arpu);
    const loads = await benchLoads(paths, { open: place, close: (one) => close(open.filter((known) => known === one)), last: main });
    const other = await place();
    const redis = await benchGeneration(loads.generation, { database: main.databaseUrl, redis: other.stores.redis, redisUrl: other.redisUrl, directory, subscribers });
    await close([other]);
    const lookups = { redisUrl: main.redisUrl, databaseUrl: main.databaseUrl, generation: loads.generation.redis, subscribers };
    return [...arpu, ...loads.rows, ...redis, ...(await benchLookup(lookups)), ...(await benchAnalytics(main.stores, lookups)), ...(await benchSegments({ ...lookups, pool: main.stores.pool }))];
  } finally {
    await close([...open]);
    await rm(directory, { recursive: true });
  }
}

if (import.meta.main) console.table(await run(process.argv.slice(2)));
