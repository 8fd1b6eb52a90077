import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { driftSchema, getDrift, getTrace, verifyStores } from '../../libs/contracts/src/index.ts';
import type { VerificationBody } from '../../libs/contracts/src/index.ts';
import { createPool } from '../../libs/database/src/index.ts';
import { eventually, uniqueName } from '../../libs/testing/src/index.ts';
import type { Plane } from './support/plane.ts';
import { CATALOGUE_APPS, NOT_CACHED, ndjson, startPlane } from './support/plane.ts';

const COUNT = process.env['TEST_SCALE'] === 'full' ? 5_000 : 800;
const STORES = ['search', 'vectors'] as const;
let plane: Plane;
let skus: readonly string[];
beforeAll(async () => {
  // Never by itself: what is found is what this test did.
  plane = await startPlane({ RECONCILE_INTERVAL_MS: '0', SYNC_SWEEP_INTERVAL_MS: '3600000' }, { apps: CATALOGUE_APPS });
  const prefix = uniqueName('right');
  await plane.import(ndjson(Array.from({ length: COUNT }, (_, n) => ({ sku: `${prefix}-${n}`, name: `Bình giữ nhiệt ${n}`, category: `c${n % 7}`, price: 10 + n }))));
  await plane.agrees();
  skus = [...(await plane.truth()).keys()].toSorted();
}, 180_000);
afterAll(() => plane.stop());

/** In the tables of the embedded engines. */
const harms = {
  search: { hide: 'update doc set deleted_at = 1, version = 1 where sku = ?', age: 'update doc set version = 2 where sku = ?', raise: 'update doc set deleted_at = null, version = 3 where sku = ?' },
  vectors: {
    hide: 'update records set deleted = 1, searchable = 0, version = 1 where sku = ?', age: 'update records set version = 2 where sku = ?',
    raise: "update records set deleted = 0, version = 3, text_hash = '', embedded_at = '' where sku = ?",
  },
};

/** Behind everybody's back. */
function harm(store: (typeof STORES)[number], how: 'hide' | 'age' | 'raise', sku: string): void {
  const directory = join(plane.stack.env['EMBEDDED_DATA_DIR'] ?? '', store);
  const database = new DatabaseSync(join(directory, `${readFileSync(join(directory, 'CURRENT'), 'utf8').trim()}.db`), { timeout: 5_000 });
  try {
    expect(database.prepare(harms[store][how]).run(sku).changes).toBe(1);
  } finally {
    database.close();
  }
}

async function verify(repair: boolean): Promise<Record<string, VerificationBody>> {
  const { stores } = (await plane.client.call(verifyStores, { body: { repair } })).body;
  return Object.fromEntries(stores.map(({ store, verification, error }) => {
    if (!verification) throw new Error(error ?? 'no verification');
    return [store, verification];
  }));
}
const skuAt = (at: number): string => skus[at] ?? '';
const clean = { missing: 0, behind: 0, ghosts: 0, ahead: 0, in_flight: 0, repaired: 0, remaining: 0, examples: [] };

describe('freshness', () => {
  it('lets a search wait for what was just written, and says so', async () => {
    // A search waits for two seconds at most.
    await eventually(async () => {
      const sku = uniqueName('wait:for');
      const { body: { version } } = await plane.call('POST', '/api/products', { sku, name: 'Written a moment ago' });
      const { body } = await plane.call('GET', `/api/search?q=${encodeURIComponent(sku)}&wait_for=${encodeURIComponent(`${sku}:${String(version)}`)}`);
      expect(body).toMatchObject({ waited: true, data: [{ sku, version }] });
      return true;
    });
    const sku = uniqueName('wait:for');
    expect((await plane.call('GET', `/api/search?q=x&wait_for=${encodeURIComponent(`${sku}:999999999`)}`)).body).toMatchObject({ waited: false });
    expect(await plane.call('GET', '/api/search?wait_for=nonsense')).toMatchObject({ status: 400, body: { pointer: '/wait_for' } });
  });
  it('is told with every answer, and grows while the worker is away', async () => {
    const lag = async (): Promise<number> => Number((await plane.call('GET', '/api/search?limit=1', undefined, NOT_CACHED)).body['index_lag_ms'] ?? Infinity);
    await eventually(async () => (await lag()) < 3_000);
    await plane.stack.app('es-sync-worker').kill('SIGKILL');
    await eventually(async () => (await lag()) > 3_000);
    await plane.stack.app('es-sync-worker').restart();
    await eventually(async () => (await lag()) < 3_000);
    const metrics = await (await fetch(`${plane.stack.app('es-sync-worker').internalUrl}/metrics`)).text();
    expect(metrics).toMatch(/sync_freshness_seconds\{quantile="0.99",.*store="search".*\}/);
  });
});

describe('the trace of a product', () => {
  const trace = async (sku: string) => (await plane.client.call(getTrace, { params: { sku } })).body;
  it('shows it in every store at the version of the catalogue, whatever its sku is written with', async () => {
    const sku = uniqueName('trace : % ? đ 😀');
    const { body } = await plane.call('POST', '/api/products', { sku, name: 'Followed everywhere' });
    const found = await eventually(async () => {
      const now = await trace(sku);
      // The outbox lets go of a row, and the worker notes what it wrote, a moment later.
      return now.in_sync === true && now.catalogue.found?.outbox.waiting.length === 0 && now.search.found?.tracked_version !== null && now.bus.found !== null && now;
    });
    const version = Number(body['version']);
    expect(found.catalogue.found).toMatchObject({ row: { version, status: 'active', deleted: false }, outbox: { waiting: [], published: { version, event_type: 'create' } } });
    expect(found.bus.found?.streams[0]?.entries[0]).toMatchObject({ version, event_id: found.catalogue.found?.outbox.published?.event_id });
    expect(found.search.found).toMatchObject({ version, visible_version: version, tracked_version: version });
    expect(found.vectors.found).toMatchObject({ version, has_vector: true, model: expect.any(String) });
  });
  it('says where a change waits while a worker is away, and that a service cannot be asked', async () => {
    await plane.stack.app('es-sync-worker').kill('SIGKILL');
    const sku = uniqueName('waits');
    await plane.call('POST', '/api/products', { sku, name: 'Waits for a worker' });
    const found = await eventually(async () => { const now = await trace(sku); return typeof now.vectors.found?.version === 'number' && now; });
    expect(found.in_sync).toBe(null);
    expect(found.findings).toContain('search: es-sync-worker cannot be reached now');
    expect(found.bus.found?.streams[0]?.entries[0]?.groups).toContainEqual(expect.objectContaining({ group: 'es-sync-worker', state: expect.stringMatching(/unread|pending/) }));
    await plane.stack.app('es-sync-worker').restart();
    await eventually(async () => (await trace(sku)).in_sync === true);
  });
  it('answers for a sku that nobody knows', async () => {
    expect(await trace(uniqueName('nobody'))).toMatchObject({ in_sync: true, findings: ['the catalogue does not know this sku', 'search has nothing of it', 'vectors have nothing of it'] });
  });
});

describe('verification', () => {
  it('finds no drift where there is none, while products are written', async () => {
    const writing = plane.import(ndjson(Array.from({ length: 300 }, (_, n) => ({ sku: skuAt(n), name: `Bình giữ nhiệt mới ${n}`, price: 20 + n }))));
    for (const verification of Object.values(await verify(false))) expect(verification).toMatchObject({ remaining: 0 });
    await writing;
    await plane.agrees();
    const products = (await plane.truth()).size;
    expect(await verify(true)).toMatchObject({ search: { products, stored: products, ...clean }, vectors: { products, stored: products, ...clean } });
  });

  it('names what each store lacks, has too old and has too much, mends exactly that, and shows it under /api/admin/drift', async () => {
    const gone = uniqueName('gone');
    await plane.call('POST', '/api/products', { sku: gone, name: 'will be deleted' });
    await plane.call('DELETE', `/api/products/${gone}`, undefined, { 'if-match': '*' });
    await plane.agrees();
    for (const store of STORES) {
      harm(store, 'hide', skuAt(3));
      harm(store, 'age', skuAt(400));
      harm(store, 'raise', gone);
    }
    const found = await verify(false);
    for (const store of STORES) {
      expect(found[store]).toMatchObject({ missing: 1, behind: 1, ghosts: 1, ahead: 0, repaired: 0, remaining: 3 });
      expect(found[store]?.examples.map(({ sku, kind }) => `${sku} ${kind}`).toSorted()).toEqual([`${skuAt(3)} missing`, `${skuAt(400)} behind`, `${gone} ghost`].toSorted());
    }
    expect(await verify(true)).toMatchObject({ search: { repaired: 3, remaining: 0 }, vectors: { repaired: 3, remaining: 0 } });
    await plane.agrees();
    expect(driftSchema.parse((await plane.client.call(getDrift)).body).stores.map(({ verification }) => verification?.repaired)).toEqual([3, 3]);
    expect(await verify(true)).toMatchObject({ search: clean, vectors: clean });
  });

  it('says that the database was restored to an earlier state, and a rebuild mends it', async () => {
    const pool = createPool({ url: plane.stack.env['DATABASE_URL'] ?? '', name: 'restore', max: 1 });
    const { rows: before } = await pool.query('select sku, version, content_version, name, updated_at from catalog.products where sku = any($1)', [[skuAt(5), skuAt(6)]]);
    const late = uniqueName('late');
    await plane.call('PATCH', `/api/products/${skuAt(5)}`, { name: 'lost by the restore' }, { 'if-match': '*' });
    await plane.call('PATCH', `/api/products/${skuAt(6)}`, { name: 'lost by the restore' }, { 'if-match': '*' });
    await plane.call('POST', '/api/products', { sku: late, name: 'lost by the restore' });
    await plane.agrees();
    await pool.query('alter table catalog.products disable trigger user');
    for (const row of before) await pool.query('update catalog.products set version = $2, content_version = $3, name = $4, updated_at = $5 where sku = $1', [row.sku, row.version, row.content_version, row.name, row.updated_at]);
    await pool.query('delete from catalog.products where sku = $1', [late]);
    await pool.query('alter table catalog.products enable trigger user');
    await pool.query(`select setval('catalog.product_version', (select max(version) from catalog.products))`);
    await pool.end();
    expect(await verify(true)).toMatchObject({ search: { ahead: 3, repaired: 0, remaining: 3 }, vectors: { ahead: 3, repaired: 0, remaining: 3 } });
    for (const store of STORES) expect((await plane.call('POST', '/api/admin/rebuilds', { store })).status).toBe(202);
    await eventually(async () => Object.values(await verify(false)).every(({ remaining }) => remaining === 0), { timeoutMs: 60_000, everyMs: 500 });
    await plane.agrees();
    expect((await plane.found()).has(late)).toBe(false);
  });
});
