import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { compareSkus, productExample } from '@millrace/contracts';
import type { Product } from '@millrace/contracts';
import { createKysely, createPool, migrateSchema } from '@millrace/database';
import type { EventPublisher } from '@millrace/bus';
import { createLane, createRebuildJournal, createRebuilds, createVersionDigest } from '@millrace/projection';
import type { ProjectedChange, ReadExport, RebuildJob, Rebuilds, VersionSource } from '@millrace/projection';
import { closeRedis, connectRedis } from '@millrace/redis-kit';
import { openEmbeddedSearchAdmin, openEmbeddedSearchReader } from '@millrace/search';
import type { SearchReader, SearchWriter } from '@millrace/search';
import { createLogger } from '@millrace/service';
import { createTestDatabase, eventually, testServer, uniqueName } from '@millrace/testing';
import { sql } from 'kysely';
import type { SearchSchema } from '../src/database.ts';
import { DocumentsRefusedError, indexProducts, refuse } from '../src/index-products.ts';
import { fillLive } from '../src/fill-live.ts';
import { createIndexes } from '../src/indexes.ts';
import { migrations } from '../src/migrations/index.ts';
import { createSearchStore, searchHealth } from '../src/search-store.ts';
import { findLastSweep, forgetSweeps, forgetSweepsOf, recordSweep } from '../src/sweep.repository.ts';
import { sweep } from '../src/sweep.ts';
import { createSyncTracker } from '../src/sync-tracker.ts';

const database = await createTestDatabase();
const pool = createPool({ url: database.url, name: 'test', max: 2 });
const db = createKysely<SearchSchema>(pool);
await migrateSchema(createKysely<unknown>(pool), migrations);
const redis = connectRedis(testServer('redis'), { role: 'background', name: 'test' });
const tracker = createSyncTracker(redis);
afterAll(async () => {
  await closeRedis(redis);
  await pool.end();
  await database.drop();
});

const product = (sku: string, version: number, over: Partial<Product> = {}): ProjectedChange => ({ sku, version, product: { ...productExample, status: 'active', sku, version, name: `Lamp ${sku}`, ...over } });

/** A catalogue in memory, with the export's watermark under the test's control. */
interface Catalogue { set(change: ProjectedChange, at: string): void; readExport: ReadExport; source: VersionSource; watermark: string; reads: { since: string | undefined; rows: number }[] }

function catalogue(): Catalogue {
  const rows = new Map<string, { change: ProjectedChange; at: string }>();
  const active = () => [...rows.values()].map(({ change }) => change).filter((change) => change.product).toSorted((a, b) => compareSkus(a.sku, b.sku));
  const source: VersionSource = {
    digests: async () => {
      const digest = createVersionDigest();
      for (const change of active()) digest.add(change);
      return { products: digest.products, buckets: [{ from: null, to: null, products: digest.products, digest: digest.hex }] };
    },
    versions: async function* () { yield active(); },
    states: async (skus) => ({ known: new Map(skus.flatMap((sku) => { const change = rows.get(sku)?.change; return change ? [[sku, change] as const] : []; })), lastVersion: Math.max(0, ...[...rows.values()].map(({ change }) => change.version)) }),
  };
  const self: Catalogue = {
    source,
    watermark: '2026-01-01T00:00:00.000000Z', reads: [],
    set: (change, at) => void rows.set(change.sku, { change, at }),
    readExport: async ({ updatedSince, batchSize }, onBatch) => {
      const found = [...rows.values()].filter(({ at }) => updatedSince === undefined || Date.parse(at) >= Date.parse(updatedSince)).map(({ change }) => change);
      for (let i = 0; i < found.length; i += batchSize) await onBatch(found.slice(i, i + batchSize), { after: String(i), watermark: self.watermark });
      self.reads.push({ since: updatedSince, rows: found.length });
      return { watermark: self.watermark, rows: found.length };
    },
  };
  return self;
}

let world: Catalogue;
let admin: ReturnType<typeof openEmbeddedSearchAdmin>;
let indexes: ReturnType<typeof createIndexes>;
let directory: string;
const runners: Rebuilds[] = [];
afterEach(async () => {
  for (const runner of runners.splice(0)) await runner.close();
  await indexes.close();
});
beforeEach(async () => {
  await forgetSweeps(db);
  await sql`truncate search.rebuilds`.execute(db);
  directory = await mkdtemp(join(tmpdir(), 'millrace-sync-'));
  world = catalogue();
  admin = openEmbeddedSearchAdmin({ directory });
  indexes = createIndexes({ admin, building: () => runners.at(-1)?.building(), logger });
});

const refusals: object[] = [];
const logger = { warn: (fields: object) => void refusals.push(fields) };
const announced: unknown[] = [];
const bus: EventPublisher = { publish: async (_topic, events) => void announced.push(...events) };
/** A worker's rebuilds, on these stores and this catalogue. */
function startRebuilds(readExport: ReadExport = world.readExport, health = searchHealth(admin)): Rebuilds {
  const store = createSearchStore({ admin, indexes, tracker: scoped, bus, logger, health, goldenQueries: [], source: world.source, forgetSweepsOf: (index) => forgetSweepsOf(db, index) });
  const rebuilds = createRebuilds({
    store, readExport, source: world.source, lane: createLane({ idleRows: 500, busyRows: 50 }), journal: createRebuildJournal(db, 'search'), logger: createLogger('test', 'silent'),
    asLeader: async (work) => ({ result: await work(new AbortController().signal) }), batchSize: 1_000, everyMs: 50, keepHours: 24,
  });
  runners.push(rebuilds);
  return rebuilds;
}
const endOf = (rebuilds: Rebuilds, id: number): Promise<RebuildJob> => eventually(async () => {
  const job = await rebuilds.get(id);
  return job.finishedAt !== null && job;
});
/** Builds an index, the first one or another, and waits for it. */
async function build(readExport?: ReadExport): Promise<{ readonly index: string }> {
  const isFirst = (await admin.liveIndex()) === undefined && (await createRebuildJournal(db, 'search').list(1)).length === 0;
  const rebuilds = startRebuilds(readExport);
  const job = isFirst ? await eventually(async () => (await rebuilds.list(1))[0]) : await rebuilds.request();
  const { phase, error, target } = await endOf(rebuilds, job.id);
  await rebuilds.close();
  if (phase !== 'done') throw new Error(error ?? phase);
  return { index: target ?? '' };
}
/** The tracker's hash is named by the index, and each test's folder has a search-1: names of their own keep them apart. */
const names = new Map<string, string>();
const scope = (index: string): string => names.get(`${directory}/${index}`) ?? (names.set(`${directory}/${index}`, uniqueName('idx')), names.get(`${directory}/${index}`) ?? '');
const scoped: typeof tracker = {
  markSynced: (index, items) => tracker.markSynced(scope(index), items),
  unsynced: (index, items) => tracker.unsynced(scope(index), items),
  versionOf: (index, sku) => tracker.versionOf(scope(index), sku),
  stats: (index) => tracker.stats(scope(index)),
  clear: (index) => tracker.clear(scope(index)),
};
const sweepDeps = () => ({ readExport: world.readExport, tracker: scoped, bus, logger, overlapMs: 60_000, batchRows: 1_000, findLastSweep: (index: string) => findLastSweep(db, index), recordSweep: (done: Parameters<typeof recordSweep>[1]) => recordSweep(db, done) });
async function live() {
  const target = await indexes.withLive(async (open) => open);
  if (!target) throw new Error('no live index');
  return target;
}
async function withReader<T>(work: (reader: SearchReader) => Promise<T>): Promise<T> {
  const reader = openEmbeddedSearchReader({ directory });
  try {
    return await work(reader);
  } finally {
    await reader.close();
  }
}
const total = () => withReader(async (reader) => (await reader.search({ q: 'lamp', currency: 'USD', sort: 'relevance', limit: 1 })).total);

describe('sweep', () => {
  it('indexes only what the tracker lacks, from the start of the last completed sweep minus the overlap', async () => {
    world.set(product('a', 1), '2026-01-01T00:00:00Z');
    await build();
    world.watermark = '2026-01-01T10:00:00.000000Z';
    expect(await sweep(sweepDeps(), await live())).toMatchObject({ seen: 1, indexed: 0 });
    world.set(product('b', 2), '2026-01-01T10:00:30Z');
    world.set(product('c', 3), '2026-01-01T09:59:30Z');
    expect(await sweep(sweepDeps(), await live())).toMatchObject({ seen: 2, indexed: 2 });
    expect(world.reads.at(-1)?.since).toBe('2026-01-01T09:59:00.000Z');
    expect(await sweep(sweepDeps(), await live())).toMatchObject({ indexed: 0 });
    expect(await total()).toBe(3);
  });
  it('begins again where the last completed sweep did when one fails', async () => {
    world.set(product('a', 1), '2026-01-01T00:00:00Z');
    await build();
    await sweep(sweepDeps(), await live());
    const before = await findLastSweep(db, (await live()).index);
    world.watermark = '2026-02-01T00:00:00.000000Z';
    await expect(sweep({ ...sweepDeps(), readExport: async () => Promise.reject(new Error('export down')) }, await live())).rejects.toThrow('export down');
    expect(await findLastSweep(db, (await live()).index)).toEqual(before);
  });
  it('has nothing in hand any more once it has failed', async () => {
    await build();
    const readExport: ReadExport = async (_options, onBatch) => {
      await onBatch([product('late', 9)], { after: '1', watermark: world.watermark });
      throw new Error('the export broke off');
    };
    const writes: string[] = [];
    const target = await live();
    const writer: SearchWriter = { ...target.writer, apply: async (changes) => target.writer.apply(changes).finally(() => writes.push('done')) };
    await expect(sweep({ ...sweepDeps(), readExport }, { ...target, writer })).rejects.toThrow('the export broke off');
    expect(writes).toEqual(['done']);
  });
  it('names a document that the index refuses and brings in the others, sweep after sweep', async () => {
    for (const sku of ['a', 'poison', 'b']) world.set(product(sku, 1), '2026-01-01T00:00:00Z');
    await build();
    world.watermark = '2026-01-02T00:00:00.000000Z';
    const target = await live();
    const picky: SearchWriter = { ...target.writer, apply: async (changes) => [...(await target.writer.apply(changes.filter(({ sku }) => sku !== 'poison'))), ...changes.filter(({ sku }) => sku === 'poison').map(({ sku, version }) => ({ sku, version, outcome: 'failed' as const, reason: 'too odd', categories: [] }))] };
    for (const sku of ['a', 'poison', 'b']) world.set(product(sku, 2), '2026-01-01T12:00:00Z');
    expect(await sweep(sweepDeps(), { ...target, writer: picky })).toMatchObject({ seen: 3, indexed: 2 });
    expect(refusals).toContainEqual({ sku: 'poison', version: 2, reason: 'too odd' });
    expect(await findLastSweep(db, target.index)).toMatchObject({ watermark: world.watermark });
  });
  it('tells the caches what it brought in', async () => {
    await build();
    const sku = uniqueName('swept');
    world.set(product(sku, 7), '2026-01-01T00:00:00Z');
    await sweep(sweepDeps(), await live());
    expect(announced).toContainEqual(expect.objectContaining({ store: 'search', items: [expect.objectContaining({ sku, version: 7 })] }));
  });
  it('removes what was deleted while the stream was away', async () => {
    world.set(product('a', 1), '2026-01-01T00:00:00Z');
    await build();
    world.set({ sku: 'a', version: 2 }, '2026-01-01T00:00:01Z');
    expect(await sweep(sweepDeps(), await live())).toMatchObject({ indexed: 1 });
    expect(await total()).toBe(0);
  });
});

describe('sync tracker', () => {
  it('knows what it was told, by version, and forgets it all when cleared', async () => {
    const index = uniqueName('idx');
    await tracker.markSynced(index, Array.from({ length: 2_500 }, (_, n) => ({ sku: `s${n}`, version: 5 })));
    expect(await tracker.unsynced(index, [{ sku: 's1', version: 5 }, { sku: 's2', version: 6 }, { sku: 'new', version: 1 }])).toEqual([{ sku: 's2', version: 6 }, { sku: 'new', version: 1 }]);
    expect(await tracker.stats(index)).toEqual({ total_synced: 2_500, redis_healthy: true });
    expect([await tracker.clear(index), (await tracker.stats(index)).total_synced]).toEqual([2_500, 0]);
  });
  it('says so when Redis is away', async () => {
    const away = connectRedis('redis://127.0.0.1:1', { role: 'request', name: 'away' });
    expect(await createSyncTracker(away).stats('x')).toEqual({ total_synced: 0, redis_healthy: false });
    away.disconnect();
  });
});

describe('resync', () => {
  it('builds beside the live index, takes in what changes meanwhile, and swaps', async () => {
    for (let n = 0; n < 30; n += 1) world.set(product(`p${n}`, n + 1), '2026-01-01T00:00:00Z');
    const first = await build();
    const passes = world.reads.length;
    const changing: ReadExport = async (options, onBatch) => {
      if (world.reads.length === passes) world.set(product('late', 99), '2026-03-01T00:00:00Z');
      return world.readExport(options, onBatch);
    };
    const second = await build(changing);
    expect(second.index).not.toBe(first.index);
    expect([(await live()).index, await total()]).toEqual([second.index, 31]);
  });
});

describe('a live index that is lost', () => {
  it('is built anew by itself where its file was deleted, and live changes go on', async () => {
    world.set(product('a', 1), '2026-01-01T00:00:00Z');
    const first = await build();
    const rebuilds = startRebuilds();
    await rm(join(directory, `${first.index}.db`));
    const job = await eventually(async () => {
      const [latest] = await rebuilds.list(1);
      return latest?.reason === 'repair' && latest.finishedAt !== null && latest;
    });
    expect([job.phase, await total(), await admin.liveIndex()]).toEqual(['done', 1, job.target]);
    world.set(product('b', 2), '2026-01-02T00:00:00Z');
    await indexes.write((target) => indexProducts({ tracker: scoped }, target, [product('b', 2)]));
    expect(await total()).toBe(2);
  });
  it('is built anew by itself where its file is damaged', async () => {
    world.set(product('a', 1), '2026-01-01T00:00:00Z');
    const first = await build();
    const rebuilds = startRebuilds();
    await indexes.close();
    await writeFile(join(directory, `${first.index}.db`), Buffer.alloc(65_536, 'damage'));
    await eventually(async () => (await rebuilds.list(1))[0]?.reason === 'repair' && (await rebuilds.list(1))[0]?.phase === 'done');
    expect([await total(), await admin.liveIndex() === first.index]).toEqual([1, false]);
  });
});

describe('the first fill', () => {
  it('waits for another index where the live one cannot be opened', async () => {
    world.set(product('a', 1), '2026-01-01T00:00:00Z');
    const first = await build();
    await rm(join(directory, `${first.index}.db`));
    const { look } = startRebuilds();
    const filled = await eventually(() => fillLive({ admin, indexes, tracker: scoped, readExport: world.readExport, bus, logger, rebuild: look }, new AbortController().signal));
    expect([filled, await total()]).toEqual([true, 1]);
    expect(await admin.liveIndex()).not.toBe(first.index);
  });
});

describe('dropped indexes', () => {
  it('leave neither a tracker nor a sweep behind', async () => {
    world.set(product('a', 1), '2026-01-01T00:00:00Z');
    const first = await build();
    await sweep(sweepDeps(), await live());
    expect((await scoped.stats(first.index)).total_synced).toBe(1);
    await build(); // keeps the one before
    await sql`update search.rebuilds set kept_until = now()`.execute(db);
    startRebuilds();
    await eventually(async () => (await readdir(directory)).filter((name) => name.endsWith('.db')).length === 1);
    await eventually(async () => (await scoped.stats(first.index)).total_synced === 0 && (await findLastSweep(db, first.index)) === undefined);
  });
});

describe('indexProducts', () => {
  const writer = (outcomes: Record<string, 'applied' | 'failed'>): SearchWriter => ({
    apply: async (changes) => changes.map(({ sku, version }) => ({ sku, version, outcome: outcomes[sku] ?? 'applied', reason: 'mapping', categories: [] })),
    close: async () => undefined,
  });
  it('marks each item by its own result, and rejects for the one that was refused', async () => {
    const index = uniqueName('idx');
    const changes = [product('good', 1), product('bad', 2)];
    const indexed = await indexProducts({ tracker }, { index, writer: writer({ bad: 'failed' }) }, changes);
    expect(() => refuse(indexed, 2)).toThrow(DocumentsRefusedError);
    expect((await tracker.unsynced(index, changes)).map((change) => change.sku)).toEqual(['bad']);
  });
});
