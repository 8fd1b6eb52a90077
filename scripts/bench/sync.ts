// npm run bench -- sync: es-sync-worker's sweep over 10,000 products; also on Elasticsearch where TEST_ELASTICSEARCH_URL is set.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createPool } from '@millrace/database';
import { createExportReader } from '@millrace/projection';
import { closeRedis, connectRedis } from '@millrace/redis-kit';
import { openElasticsearchSearchAdmin, openEmbeddedSearchAdmin } from '@millrace/search';
import type { SearchAdmin } from '@millrace/search';
import { openIdentitySigner } from '@millrace/service';
import { indexProducts } from '../../apps/es-sync-worker/src/index-products.ts';
import { createIndexes } from '../../apps/es-sync-worker/src/indexes.ts';
import type { CompletedSweep } from '../../apps/es-sync-worker/src/sweep.repository.ts';
import { sweep } from '../../apps/es-sync-worker/src/sweep.ts';
import { createSyncTracker } from '../../apps/es-sync-worker/src/sync-tracker.ts';
import type { Stack } from '../local/stack.ts';
import { median, msOf, row } from './support/measure.ts';
import type { BenchRow } from './support/measure.ts';
import { importAll, sampleStream, untilFound } from './support/plane.ts';
import { onAStack } from './support/stack.ts';

const RUNS = 7;
/** An engine on the JVM compiles what it runs often; one that has run for a day has done so. */
const WARM_UP = 60;
const silent = { warn: () => undefined };
/** What a sweep tells the caches is measured with the stream. */
const nobody = { publish: async () => undefined };

interface Engine { readonly name: string; readonly admin: SearchAdmin; readonly allMs: number; readonly cleanUp: () => Promise<void> }

async function openEngines(): Promise<Engine[]> {
  const directory = await mkdtemp(join(tmpdir(), 'millrace-bench-'));
  const embedded: Engine = { name: 'embedded', admin: openEmbeddedSearchAdmin({ directory }), allMs: 1_000, cleanUp: () => rm(directory, { recursive: true, force: true }) };
  const node = process.env['TEST_ELASTICSEARCH_URL'];
  if (node === undefined || node === '') return [embedded];
  const admin = openElasticsearchSearchAdmin({ node, alias: `bench-${process.pid}` });
  return [embedded, { name: 'Elasticsearch', admin, allMs: 4_000, cleanUp: () => admin.dropAll() }];
}

/** The worker's own sweep over the stack's real export: 100, 10,000 and no changes (price) among 10,000 products. */
async function measure(stack: Stack, keyFile: string): Promise<BenchRow[]> {
  const pool = createPool({ url: stack.env['DATABASE_URL'] ?? '', name: 'bench', max: 2, statementTimeoutMs: 0 });
  const redis = connectRedis(stack.env['REDIS_URL'] ?? '', { role: 'background', name: 'bench' });
  const readExport = createExportReader({ baseUrl: stack.app('catalog-api').internalUrl, signer: await openIdentitySigner(keyFile), service: 'es-sync-worker' });
  const rows: BenchRow[] = [];
  for (const { name, admin, allMs, cleanUp } of await openEngines()) {
    const live = await admin.createIndex();
    await admin.swapTo(live);
    const indexes = createIndexes({ admin, building: () => undefined, logger: silent });
    const scope = createSyncTracker(redis);
    const own = (index: string): string => `bench-${name}-${index}`;
    const tracker = { ...scope, markSynced: (index: string, items: Parameters<typeof scope.markSynced>[1]) => scope.markSynced(own(index), items), unsynced: <T extends { sku: string; version: number }>(index: string, items: readonly T[]) => scope.unsynced(own(index), items) };
    const target = await indexes.withOne(live, async (open) => open);
    await readExport({ batchSize: 5_000 }, async (changes) => void (await indexProducts({ tracker }, target, changes)));
    let last: CompletedSweep | undefined;
    const run = () => sweep({ readExport, tracker, bus: nobody, logger: silent, overlapMs: 0, findLastSweep: async () => last, recordSweep: async (done) => void (last = done) }, target);
    await run();
    const measured = async (changes: number): Promise<number> => {
      const times: number[] = [];
      const warmUp = changes === 100 ? WARM_UP : 0;
      for (let i = -warmUp; i < RUNS; i += 1) {
        if (changes > 0) await pool.query('update catalog.products set price = price + 1, price_minor = price_minor + 100 where sku in (select sku from catalog.products where deleted_at is null order by sku limit $1)', [changes]);
        const ms = await msOf(run);
        if (i >= 0) times.push(ms);
        if (last?.indexed !== changes) throw new Error(`${last?.indexed ?? 0} of ${changes} changes were indexed`);
      }
      return median(times);
    };
    rows.push(row(`sync of 100 changed among 10,000, ${name}`, await measured(100), { unit: 'ms', atMost: 100 }));
    rows.push(row(`sync of 10,000 changed, ${name}`, await measured(10_000), { unit: 'ms', atMost: allMs }));
    rows.push(row(`sync of nothing, ${name}`, await measured(0), { unit: 'ms', atMost: 10 }));
    await indexes.close();
    await cleanUp();
    await admin.close();
  }
  await closeRedis(redis);
  await pool.end();
  return rows;
}

export const run = (): Promise<BenchRow[]> =>
  onAStack('bench-sync', { SYNC_SWEEP_INTERVAL_MS: '3600000' }, async (stack) => {
    await importAll(stack, sampleStream(10_000));
    await untilFound(stack, 10_000);
    // The sweep alone: the workers would bring the same changes into their own stores meanwhile, on the same cores.
    for (const name of ['embedding-worker', 'es-sync-worker'] as const) await stack.app(name).kill('SIGTERM');
    return measure(stack, join(dirname(stack.env['MILLRACE_STACK_FILE'] ?? ''), 'secrets', 'keys', 'es-sync-worker.jwk'));
  });
