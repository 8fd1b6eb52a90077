import { afterAll, afterEach, beforeAll, expect, it } from '@jest/globals';
import { Client } from '@elastic/elasticsearch';
import { Redis } from 'ioredis';
import { getTrace, verifyStores } from '../../libs/contracts/src/index.ts';
import { describeWith, eventually, testServer, uniqueName } from '../../libs/testing/src/index.ts';
import { startFaultyProxy } from './support/faulty-proxy.ts';
import type { FaultyProxy } from './support/faulty-proxy.ts';
import { CATALOGUE_APPS, NOT_CACHED, ndjson, startPlane } from './support/plane.ts';
import type { Plane } from './support/plane.ts';

const SCALE = process.env['TEST_SCALE'] === 'full' ? 5 : 1;

describeWith('elasticsearch', 'the search plane on an Elasticsearch that fails', () => {
  let plane: Plane;
  let proxy: FaultyProxy;
  const alias = uniqueName('faulty').toLowerCase();
  beforeAll(async () => {
    proxy = await startFaultyProxy(testServer('elasticsearch'));
    plane = await startPlane({ SEARCH_ENGINE: 'elasticsearch', ELASTICSEARCH_URL: proxy.url, ELASTICSEARCH_INDEX: alias, RECONCILE_INTERVAL_MS: '0', SYNC_SWEEP_INTERVAL_MS: '3600000' }, { apps: CATALOGUE_APPS });
  }, 180_000);
  afterEach(() => {
    proxy.down(false);
    proxy.busy(false);
    proxy.onBulk(undefined);
  });
  afterAll(async () => {
    await plane.stop();
    proxy.close();
    const client = new Client({ node: testServer('elasticsearch') });
    await client.indices.delete({ index: Object.keys(await client.indices.get({ index: `${alias}-*` })) });
    await client.close();
  });

  const products = (prefix: string, count: number, more: Record<string, unknown> = {}) => ndjson(Array.from({ length: count }, (_, n) => ({ sku: `${prefix}-${n}`, name: `Đèn bàn ${n}`, category: 'lamps', price: 5 + n, ...more })));
  const statusOf = async (app: 'catalog-api' | 'es-sync-worker'): Promise<number> => (await fetch(`${plane.stack.app(app).internalUrl}/readyz`)).status;
  const remaining = async (): Promise<{ remaining: number | undefined; stored: number | undefined; inFlight: number | undefined }> => {
    const [search] = (await plane.client.call(verifyStores, { body: { stores: ['search'] } })).body.stores;
    return { remaining: search?.verification?.remaining, stored: search?.verification?.stored, inFlight: search?.verification?.in_flight };
  };
  const equal = (timeoutMs = 60_000): Promise<unknown> => eventually(async () => {
    const now = await remaining();
    return now.remaining === 0 && now.inFlight === 0 && now.stored === (await plane.truth()).size;
  }, { timeoutMs, everyMs: 250 });

  it('is caught up without a restart after it was away under writes; only its own worker was not ready', async () => {
    const prefix = uniqueName('away');
    await plane.import(products(prefix, 50));
    await equal();
    proxy.down(true);
    expect(await plane.import(products(prefix, 300 * SCALE, { brand: 'changed' }))).toMatchObject({ failed: 0, rows: 300 * SCALE });
    await eventually(async () => (await statusOf('es-sync-worker')) === 503);
    expect(await statusOf('catalog-api')).toBe(200);
    expect((await plane.call('GET', `/api/search?q=${prefix}-1`)).body).toMatchObject({ degraded: true, data: [{ sku: `${prefix}-1` }] });
    proxy.down(false);
    await equal();
    await eventually(async () => (await statusOf('es-sync-worker')) === 200);
    await eventually(async () => {
      expect((await plane.call('GET', `/api/search?category=lamps&brand=changed&limit=1`, undefined, NOT_CACHED)).body).toMatchObject({ degraded: false, total: 300 * SCALE });
      return true;
    });
  }, 180_000);

  it('waits while every request is answered 429, parks nothing, and goes on', async () => {
    const prefix = uniqueName('busy');
    proxy.busy(true);
    await plane.import(products(prefix, 100));
    await eventually(() => proxy.refused() > 5);
    proxy.busy(false);
    await equal();
    expect((await plane.call('GET', '/api/admin/dead-letters?limit=10')).body['data']).toEqual([]);
  }, 180_000);

  it('sends only those documents again that it could not take', async () => {
    const prefix = uniqueName('partly');
    const refused = new Set<string>();
    proxy.onBulk((id, item) => {
      const at = Number(id.split('-').at(-1));
      if (!id.startsWith(prefix) || at % 5 !== 0 || refused.has(id)) return item;
      refused.add(id);
      return { ...item, status: 429, error: { type: 'es_rejected_execution_exception', reason: 'queue is full' } };
    });
    await plane.import(products(prefix, 60));
    await equal();
    const sent = proxy.bulks.flat().filter((id) => id.startsWith(prefix));
    expect(refused.size).toBe(12);
    for (const id of new Set(sent)) expect(sent.filter((one) => one === id)).toHaveLength(refused.has(id) ? 2 : 1);
  });

  it('parks a document that it refuses for what it is, alone, and says where it is', async () => {
    const prefix = uniqueName('bad');
    const bad = `${prefix}-7`;
    proxy.onBulk((id, item) => (id === bad ? { ...item, status: 400, error: { type: 'document_parsing_exception', reason: 'failed to parse' } } : item));
    await plane.import(products(prefix, 30));
    const letter = await eventually(async () => {
      const { data } = (await plane.call('GET', `/api/admin/dead-letters?key=${bad}`)).body as { data: { key: string; reason: string; group: string }[] };
      return data[0];
    });
    expect(letter).toMatchObject({ key: bad, group: 'es-sync-worker', reason: expect.stringContaining('failed to parse') });
    const { body } = (await plane.call('GET', '/api/admin/dead-letters?limit=100')) as { body: { data?: unknown[] } };
    expect(body.data).toHaveLength(1);
    proxy.onBulk(undefined);
    expect((await plane.call('POST', '/api/admin/dead-letters/replay', { filter: { key: bad } })).body).toMatchObject({ count: 1 });
    await equal();
  });

  it('keeps a product deleted when an older change comes late, after it was closed and opened again', async () => {
    const sku = uniqueName('gone');
    const { body } = await plane.call('POST', '/api/products', { sku, name: 'soon gone', category: 'gone' });
    await plane.call('DELETE', `/api/products/${sku}`, undefined, { 'if-match': '*' });
    await eventually(async () => (await plane.client.call(getTrace, { params: { sku } })).body.search.found?.deleted === true);
    const client = new Client({ node: testServer('elasticsearch') });
    const [index = ''] = Object.keys(await client.indices.getAlias({ name: alias }));
    await client.indices.flush({ index });
    await client.indices.close({ index });
    await client.indices.open({ index });
    await client.cluster.health({ wait_for_status: 'yellow' });
    await client.close();
    const redis = new Redis(plane.stack.env['REDIS_URL'] ?? '');
    const late = { event_type: 'update', product_id: sku, timestamp: new Date().toISOString(), data: JSON.stringify({ ...body, name: 'back from the dead' }), id: uniqueName('late'), version: String(body['version']), schema: '1' };
    await redis.xadd('product:updates', '*', ...Object.entries(late).flat());
    await redis.quit();
    const trace = await eventually(async () => {
      const found = (await plane.client.call(getTrace, { params: { sku } })).body;
      return found.bus.found?.streams[0]?.entries[0]?.event_id === late.id && found.bus.found.streams[0].entries[0].groups.every(({ state }) => state === 'acknowledged') && found;
    });
    expect(trace).toMatchObject({ in_sync: true, search: { found: { deleted: true, visible_version: null } } });
    expect((await plane.call('GET', `/api/search?q=${sku}`, undefined, NOT_CACHED)).body).toMatchObject({ total: 0, degraded: false });
  });

  it('reflects every one of 20,000 updates in one burst', async () => {
    const prefix = uniqueName('burst');
    const count = 800 * SCALE;
    for (let round = 0; round < 5; round += 1) await plane.import(products(prefix, count, { price: 100 + round, category: prefix }));
    await equal(120_000);
    expect((await plane.call('GET', `/api/search?category=${prefix}&min_price=104&max_price=104&limit=1`)).body).toMatchObject({ total: count });
  }, 240_000);
});
