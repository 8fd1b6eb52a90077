// npm run bench -- ut360-sizes: bytes of a subscriber in both stores, and how evenly buckets of a Cluster are filled. For docs/sizing-ut360.md.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createKysely, createPool, migrateSchema } from '@millrace/database';
import { closeRedis, connectRedis, createKeys, infoOfMasters, keysFor, whenReady } from '@millrace/redis-kit';
import { sampleSubscribers, writeSampleFiles } from '@millrace/sample-subscribers';
import { datasetNames, loadFiles, qualified } from '@millrace/subscribers';
import { startRedisCluster } from '@millrace/testing/redis-cluster';
import { startRedisServer } from '@millrace/testing/redis-server';
import { createTestDatabase } from '@millrace/testing/servers';
import type { Pool } from 'pg';
import { migrations } from '../../apps/ut360-lookup/src/migrations/index.ts';
import { row } from './support/measure.ts';
import type { BenchRow } from './support/measure.ts';

const SUBSCRIBERS = Number(process.env['BENCH_SUBSCRIBERS'] ?? 20_000);
const SETTINGS = ['--hash-max-listpack-value', '4096'];
type Paths = Awaited<ReturnType<typeof writeSampleFiles>>;

/** Bytes of used memory that one generation adds, a subscriber. */
async function redisBytes(pool: Pool, url: string, paths: Paths): Promise<number> {
  const redis = connectRedis(url, { role: 'background', name: 'bench' });
  const used = async (): Promise<number> => (await infoOfMasters(redis, ['used_memory'])).reduce((sum, [bytes]) => sum + Number(bytes), 0);
  try {
    await whenReady(redis);
    const before = await used();
    await loadFiles({ pool, redis, keys: keysFor(url) }, { files: { recommendations: { path: paths.recommendations }, profiles: { path: paths.profiles }, arpu: { path: paths.arpu } }, limit: { share: 0 }, keep: 0 });
    return ((await used()) - before) / SUBSCRIBERS;
  } finally {
    await closeRedis(redis);
  }
}

async function tableRows(pool: Pool): Promise<BenchRow[]> {
  const rows: BenchRow[] = [];
  for (const dataset of datasetNames) {
    const table = qualified(dataset, 1);
    const { rows: [size] } = await pool.query<{ table: number; indexes: number; count: number }>(`select pg_table_size('${table}') as table, pg_indexes_size('${table}') as indexes, (select count(*) from ${table}) as count`);
    const count = Math.max(1, size?.count ?? 1);
    rows.push(row(`Postgres, ${dataset}: a row, rows of ${Number((count / SUBSCRIBERS).toFixed(2))} a subscriber`, (size?.table ?? 0) / count, { unit: 'bytes' }), row(`Postgres, ${dataset}: indexes, a row`, (size?.indexes ?? 0) / count, { unit: 'bytes' }));
  }
  return rows;
}

/** How many subscribers the fullest of the 1,024 buckets has, beside the mean. */
function fullestBucket(count: number): BenchRow {
  const keys = createKeys({ cluster: true });
  const buckets = new Map<number, number>();
  for (const { isdn } of sampleSubscribers({ count })) buckets.set(keys.subscriberBucket(isdn), (buckets.get(keys.subscriberBucket(isdn)) ?? 0) + 1);
  return row(`${count} subscribers: the fullest of 1,024 buckets, beside the mean`, Math.max(...buckets.values()), { unit: 'subscribers', baseline: count / 1_024, ratio: Math.max(...buckets.values()) / (count / 1_024) });
}

export async function run(): Promise<BenchRow[]> {
  const [database, other, redis, cluster, directory] = await Promise.all([createTestDatabase(), createTestDatabase(), startRedisServer(SETTINGS), startRedisCluster({ extraArguments: SETTINGS }), mkdtemp(join(tmpdir(), 'millrace-bench-'))]);
  const pools = [database, other].map(({ url }) => createPool({ url, name: 'bench', max: 4, statementTimeoutMs: 0 }));
  try {
    for (const pool of pools) await migrateSchema(createKysely<unknown>(pool), migrations);
    const paths = await writeSampleFiles({ count: SUBSCRIBERS, directory });
    const [single, spread] = pools;
    if (single === undefined || spread === undefined) return [];
    const rows = [row(`Redis, one server: a subscriber of ${SUBSCRIBERS}`, await redisBytes(single, redis.url, paths), { unit: 'bytes' }), row(`Redis Cluster of three: a subscriber of ${SUBSCRIBERS}`, await redisBytes(spread, cluster.url, paths), { unit: 'bytes' })];
    return [...rows, ...(await tableRows(single)), fullestBucket(200_000)];
  } finally {
    for (const pool of pools) await pool.end();
    await Promise.all([redis.stop(), cluster.stop(), database.drop(), other.drop(), rm(directory, { recursive: true })]);
  }
}

if (import.meta.main) console.table(await run());
