// npm run bench -- rebuild [COUNT]: a rebuild of the search index by the worker against raw bulk indexing of prepared documents, its memory, and what it
// does to live changes; on Elasticsearch where TEST_ELASTICSEARCH_URL is set, else embedded. COUNT: products, default 100,000.
import { readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { createClient } from '@millrace/client/contract';
import { getRebuild, startRebuild } from '@millrace/contracts';
import type { Rebuild } from '@millrace/contracts';
import { createExportReader } from '@millrace/projection';
import type { ProjectedChange } from '@millrace/projection';
import { openElasticsearchSearchAdmin, openEmbeddedSearchAdmin } from '@millrace/search';
import type { SearchAdmin } from '@millrace/search';
import { openIdentitySigner } from '@millrace/service';
import { z } from 'zod';
import type { Stack } from '../local/stack.ts';
import { alternate, median, msOf, percentile, row } from './support/measure.ts';
import type { BenchRow } from './support/measure.ts';
import { gatewayOf, importAll, sampleStream, untilFound } from './support/plane.ts';
import { onAStack } from './support/stack.ts';

const PAIRS = 3;
const WRITES = 300;
/** What an engine takes best at once. */
const RAW_BATCH = { embedded: 2_500, elasticsearch: 5_000 };

interface Bench { readonly stack: Stack; readonly engine: 'embedded' | 'elasticsearch'; readonly admin: SearchAdmin; readonly documents: readonly ProjectedChange[]; readonly count: number }

const clientOf = (stack: Stack) => createClient({ baseUrl: stack.gatewayUrl, apiKey: stack.apiKey });

/** As the worker's writer does it, but from memory, into an index of its own. */
async function rawBulk({ admin, documents, engine }: Bench): Promise<number> {
  const index = await admin.createIndex();
  const writer = await admin.openWriter(index);
  const ms = await msOf(async () => {
    for (let at = 0; at < documents.length; at += RAW_BATCH[engine]) await writer.apply(documents.slice(at, at + RAW_BATCH[engine]));
  });
  await writer.close();
  await admin.dropIndex(index);
  await delay(200); // lets this process see which connections the gateway closed while it was blocked
  return ms;
}

async function untilDone(stack: Stack, id: string): Promise<Rebuild> {
  for (;;) {
    const job = (await clientOf(stack).call(getRebuild, { params: { id } })).body;
    if (job.phase === 'done') return job;
    if (job.finished_at !== null) throw new Error(`${id} is ${job.phase}: ${job.error ?? ''}`);
    await delay(100);
  }
}
const start = async (stack: Stack): Promise<string> => (await clientOf(stack).call(startRebuild, { body: { store: 'search' } })).body.id;

/** From the job's first moment to its last, by the database's clock: filling, catching up, validating, swap, late pass. */
async function rebuild({ stack }: Bench): Promise<number> {
  const job = await untilDone(stack, await start(stack));
  return Date.parse(job.finished_at ?? '') - Date.parse(job.started_at);
}

/** Resident memory of a process in MiB: now (VmRSS), or the kernel's high-water mark (VmHWM), which begins anew with `forgetPeak`. */
function memoryOf(pid: number | undefined, field: 'VmRSS' | 'VmHWM'): number {
  const found = new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(readFileSync(`/proc/${pid ?? 0}/status`, 'utf8'));
  return Number(found?.[1] ?? Number.NaN) / 1_024;
}
const forgetPeak = (pid: number | undefined): void => writeFileSync(`/proc/${pid ?? 0}/clear_refs`, '5');

const hits = z.object({ data: z.array(z.object({ sku: z.string() })) });

/** Write to visible, one product after the other, for as long as `isOn` or until so many are written. */
async function visible(stack: Stack, prefix: string, isOn: () => boolean): Promise<number[]> {
  const gateway = gatewayOf(stack);
  const times: number[] = [];
  for (let n = 0; n < WRITES && isOn(); n += 1) {
    const [sku, word] = [`${prefix}-${n}`, `${prefix}quokka${n}x`];
    const startMs = performance.now();
    await gateway.post('/api/products', { sku, name: `zanzibar ${word}`, category: 'visible' });
    while (hits.parse(await gateway.get(`/api/search?q=${word}&limit=1`)).data[0]?.sku !== sku) if (performance.now() - startMs > 30_000) throw new Error(`${sku} is not visible after 30 s`);
    times.push(performance.now() - startMs);
  }
  return times;
}

async function benchLane({ stack, engine, count }: Bench): Promise<BenchRow[]> {
  await visible(stack, 'warm', () => true);
  const without = await visible(stack, 'calm', () => true);
  let isRunning = true;
  const id = await start(stack);
  const ended = untilDone(stack, id).finally(() => { isRunning = false; });
  const during = await visible(stack, 'busy', () => isRunning);
  const job = await ended;
  const seconds = (Date.parse(job.finished_at ?? '') - Date.parse(job.started_at)) / 1_000;
  const of = (share: number): BenchRow => row(`write to visible during a rebuild, p${share * 100}, ${engine}`, percentile(during, share), { unit: 'ms', baseline: percentile(without, share), ratio: percentile(during, share) / percentile(without, share), atMost: share === 0.5 ? 150 : 1_000 });
  return [of(0.5), of(0.99), row(`rebuild of ${count} while one writes all the time, ${engine}`, seconds, { unit: 's' })];
}

async function measure(bench: Bench): Promise<BenchRow[]> {
  const { stack, engine, count } = bench;
  const { pid } = stack.app('es-sync-worker');
  const before = memoryOf(pid, 'VmRSS');
  forgetPeak(pid);
  const { a, b, ratio } = await alternate(PAIRS, () => rebuild(bench), () => rawBulk(bench));
  const memory = memoryOf(pid, 'VmHWM');
  return [
    row(`rebuild of ${count}, ${engine}`, median(a) / 1_000, { unit: 's', baseline: median(b) / 1_000, ratio, ratioAtMost: 1.5 }),
    row(`most memory of es-sync-worker during it (baseline: before), ${engine}`, memory, { unit: 'MiB', baseline: before, ratio: memory / before, atMost: 300 }),
    ...(await benchLane(bench)),
  ];
}

export function run(args: readonly string[] = []): Promise<BenchRow[]> {
  const count = Number(args[0] ?? 100_000);
  const node = process.env['TEST_ELASTICSEARCH_URL'];
  const engine = node === undefined || node === '' ? 'embedded' : 'elasticsearch';
  const alias = `bench-rebuild-${process.pid}`;
  const env = engine === 'embedded' ? {} : { ELASTICSEARCH_URL: node ?? '', ELASTICSEARCH_INDEX: alias };
  // The heap limit stands for the container of 512 MB in docker-compose.yml: without one V8 lets garbage lie on a large machine.
  // One fit, at the first fill, and neither sweeps nor verifications: they would be measured too.
  return onAStack('bench-rebuild', { ...env, NODE_OPTIONS: '--max-heap-size=256', SYNC_SWEEP_INTERVAL_MS: '3600000', RECONCILE_INTERVAL_MS: '0', MODEL_FIT_MIN_PRODUCTS: '10000000', REBUILD_KEEP_HOURS: '0' }, async (stack) => {
    await importAll(stack, sampleStream(count));
    await untilFound(stack, count, 600_000);
    await stack.app('embedding-worker').kill('SIGTERM');
    const keyFile = join(dirname(stack.env['MILLRACE_STACK_FILE'] ?? ''), 'secrets', 'keys', 'es-sync-worker.jwk');
    const readExport = createExportReader({ baseUrl: stack.app('catalog-api').internalUrl, signer: await openIdentitySigner(keyFile), service: 'es-sync-worker' });
    const documents: ProjectedChange[] = [];
    await readExport({ batchSize: 5_000 }, async (changes) => void documents.push(...changes));
    const directory = await mkdtemp(join(tmpdir(), 'millrace-bench-'));
    const admin = engine === 'embedded' ? openEmbeddedSearchAdmin({ directory }) : openElasticsearchSearchAdmin({ node: node ?? '', alias: `${alias}-raw` });
    try {
      return await measure({ stack, engine, admin, documents, count });
    } finally {
      await admin.close();
      await rm(directory, { recursive: true, force: true });
    }
  });
}
