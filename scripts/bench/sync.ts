// npm run bench -- sync [ROWS]: es-sync-worker's sweep over 10,000 products, against raw bulk writes of the same documents, and over 1,000,000 rows;
// also on Elasticsearch where TEST_ELASTICSEARCH_URL is set. ROWS: rows of the large catalogue, default 1,000,000.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createPool } from '@millrace/database';
import { createExportReader } from '@millrace/projection';
import type { ProjectedChange, ReadExport } from '@millrace/projection';
import { closeRedis, connectRedis } from '@millrace/redis-kit';
import { openElasticsearchSearchAdmin, openEmbeddedSearchAdmin } from '@millrace/search';
import type { SearchAdmin } from '@millrace/search';
import { openIdentitySigner } from '@millrace/service';
import { indexProducts } from '../../apps/es-sync-worker/src/index-products.ts';
import { createIndexes } from '../../apps/es-sync-worker/src/indexes.ts';
import type { CompletedSweep } from '../../apps/es-sync-worker/src/sweep.repository.ts';
import { SWEEP_ROWS } from '../../apps/es-sync-worker/src/sweep-run.ts';
import { sweep } from '../../apps/es-sync-worker/src/sweep.ts';
import { createSyncTracker } from '../../apps/es-sync-worker/src/sync-tracker.ts';
import type { Pool } from 'pg';
import type { Stack } from '../local/stack.ts';
import { alternate, median, msOf, row } from './support/measure.ts';
import type { BenchRow } from './support/measure.ts';
import { importAll, sampleStream, untilFound } from './support/plane.ts';
import { onAStack } from './support/stack.ts';

const RUNS = 7;
/** An engine on the JVM compiles what it runs often; one that has run for a day has done so. */
const WARM_UP = 60;
const silent = { warn: () => undefined };
/** What a sweep tells the caches is measured with the stream. */
const nobody = { publish: async () => undefined };

interface Engine { readonly name: string; readonly engine: keyof typeof SWEEP_ROWS; readonly admin: SearchAdmin; readonly allMs: number; readonly cleanUp: () => Promise<void> }

async function openEngines(): Promise<Engine[]> {
  const directory = await mkdtemp(join(tmpdir(), 'millrace-bench-'));
  const embedded: Engine = { name: 'embedded', engine: 'embedded', admin: openEmbeddedSearchAdmin({ directory }), allMs: 1_000, cleanUp: () => rm(directory, { recursive: true, force: true }) };
  const node = process.env['TEST_ELASTICSEARCH_URL'];
  if (node === undefined || node === '') return [embedded];
  const admin = openElasticsearchSearchAdmin({ node, alias: `bench-${process.pid}` });
  return [embedded, { name: 'Elasticsearch', engine: 'elasticsearch', admin, allMs: 4_000, cleanUp: () => admin.dropAll() }];
}

const RAISE = 'update catalog.products set price = price + 1, price_minor = price_minor + 100 where sku in (select sku from catalog.products where deleted_at is null order by sku limit $1)';

/** One bulk of prepared documents into an index of its own: what the engine alone takes for the same changes. */
async function rawWriter(admin: SearchAdmin, readExport: ReadExport): Promise<{ write(changes: number): Promise<number>; close(): Promise<void> }> {
  const index = await admin.createIndex();
  const writer = await admin.openWriter(index);
  const documents: ProjectedChange[] = [];
  await readExport({ batchSize: 5_000 }, async (changes) => void documents.push(...changes));
  await writer.apply(documents);
  let raised = 0;
  return {
    write: async (changes) => {
      raised += 1;
      const prepared = documents.slice(0, changes).map(({ sku, version, product }) => (product ? { sku, version: version + raised, product: { ...product, version: version + raised, price: raised, price_minor: raised * 100 } } : { sku, version: version + raised }));
      return msOf(() => writer.apply(prepared));
    },
    close: async () => {
      await writer.close();
      await admin.dropIndex(index);
    },
  };
}

/** Rows that nobody has to publish: the catalogue is large, and no sink is behind. */
async function growTo(pool: Pool, rows: number): Promise<void> {
  await pool.query('alter table catalog.products disable trigger user');
  await pool.query(`insert into catalog.products (sku, version, content_version, merchant_id, name, currency, price, price_minor, created_at, updated_at)
    select 'large-' || n, nextval('catalog.product_version'), currval('catalog.product_version'), 1, 'Product number ' || n, 'USD', 1, 100, now() - interval '1 day', now() - interval '1 day' from generate_series(1, $1 - (select count(*) from catalog.products)) as n`, [rows]);
  await pool.query('alter table catalog.products enable trigger user');
  await pool.query('analyze catalog.products');
}

/** 100 changes among `total` rows: how long a sweep takes, how many rows it reads, and what it adds to this process' memory. */
async function measureLarge(pool: Pool, total: number, run: () => Promise<CompletedSweep>): Promise<BenchRow[]> {
  const times: number[] = [];
  const beforeMib = process.memoryUsage.rss() / 1_048_576;
  let seen = 0;
  for (let i = 0; i < RUNS; i += 1) {
    await pool.query(RAISE, [100]);
    times.push(await msOf(async () => void (seen = (await run()).seen)));
  }
  const among = `100 changed among ${total.toLocaleString('en')} rows, embedded`;
  return [
    row(`sync of ${among}`, median(times), { unit: 'ms', atMost: 200 }),
    row(`rows read by a sync of ${among}`, seen, { unit: 'rows', atMost: 200 }),
    row(`memory added by ${RUNS} syncs of ${among}`, process.memoryUsage.rss() / 1_048_576 - beforeMib, { unit: 'MiB', atMost: 30 }),
  ];
}

/** The worker's own sweep over the stack's real export: 100, 10,000 and no changes (price) among 10,000 products. */
async function measure(stack: Stack, keyFile: string, large: number): Promise<BenchRow[]> {
  const pool = createPool({ url: stack.env['DATABASE_URL'] ?? '', name: 'bench', max: 2, statementTimeoutMs: 0 });
  const redis = connectRedis(stack.env['REDIS_URL'] ?? '', { role: 'background', name: 'bench' });
  const readExport = createExportReader({ baseUrl: stack.app('catalog-api').internalUrl, signer: await openIdentitySigner(keyFile), service: 'es-sync-worker' });
  const rows: BenchRow[] = [];
  for (const { name, engine, admin, allMs, cleanUp } of await openEngines()) {
    const live = await admin.createIndex();
    await admin.swapTo(live);
    const indexes = createIndexes({ admin, building: () => undefined, logger: silent });
    const scope = createSyncTracker(redis);
    const own = (index: string): string => `bench-${name}-${index}`;
    const tracker = { ...scope, markSynced: (index: string, items: Parameters<typeof scope.markSynced>[1]) => scope.markSynced(own(index), items), unsynced: <T extends { sku: string; version: number }>(index: string, items: readonly T[]) => scope.unsynced(own(index), items) };
    const target = await indexes.withOne(live, async (open) => open);
    await readExport({ batchSize: 5_000 }, async (changes) => void (await indexProducts({ tracker }, target, changes)));
    let last: CompletedSweep | undefined;
    const run = () => sweep({ readExport, tracker, bus: nobody, logger: silent, overlapMs: 0, batchRows: SWEEP_ROWS[engine], findLastSweep: async () => last, recordSweep: async (done) => void (last = done) }, target);
    await run();
    const measured = async (changes: number): Promise<number> => {
      const times: number[] = [];
      const warmUp = changes === 100 ? WARM_UP : 0;
      for (let i = -warmUp; i < RUNS; i += 1) {
        if (changes > 0) await pool.query(RAISE, [changes]);
        const ms = await msOf(run);
        if (i >= 0) times.push(ms);
        if (last?.indexed !== changes) throw new Error(`${last?.indexed ?? 0} of ${changes} changes were indexed`);
      }
      return median(times);
    };
    rows.push(row(`sync of 100 changed among 10,000, ${name}`, await measured(100), { unit: 'ms', atMost: 100 }));
    rows.push(row(`sync of 10,000 changed, ${name}`, await measured(10_000), { unit: 'ms', atMost: allMs }));
    rows.push(row(`sync of nothing, ${name}`, await measured(0), { unit: 'ms', atMost: 10 }));
    const raw = await rawWriter(admin, readExport);
    for (const changes of [1_000, 10_000]) {
      const change = () => pool.query(RAISE, [changes]);
      const pairs = await alternate(RUNS, async () => { await change(); return msOf(run); }, () => raw.write(changes));
      rows.push(row(`sync of ${changes.toLocaleString('en')} changed against one raw bulk of them, ${name}`, median(pairs.a), { unit: 'ms', baseline: median(pairs.b), ratio: pairs.ratio, ...(engine === 'elasticsearch' && { ratioAtMost: 1.3 }) }));
    }
    await raw.close();
    if (engine === 'embedded') {
      await growTo(pool, large);
      rows.push(...(await measureLarge(pool, large, run)));
      await pool.query("delete from catalog.products where sku like 'large-%'");
    }
    await indexes.close();
    await cleanUp();
    await admin.close();
  }
  await closeRedis(redis);
  await pool.end();
  return rows;
}

export const run = ([large = '1000000']: readonly string[] = []): Promise<BenchRow[]> =>
  onAStack('bench-sync', { SYNC_SWEEP_INTERVAL_MS: '3600000' }, async (stack) => {
    await importAll(stack, sampleStream(10_000));
    await untilFound(stack, 10_000);
    // The sweep alone: the workers would bring the same changes into their own stores meanwhile, on the same cores.
    for (const name of ['embedding-worker', 'es-sync-worker'] as const) await stack.app(name).kill('SIGTERM');
    return measure(stack, join(dirname(stack.env['MILLRACE_STACK_FILE'] ?? ''), 'secrets', 'keys', 'es-sync-worker.jwk'), Number(large));
  });
