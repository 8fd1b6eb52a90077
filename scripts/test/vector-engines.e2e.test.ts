// The catalogue plane with each further vector store, and a running installation that changes from one store to another.
import { afterAll, beforeAll, expect, it, jest } from '@jest/globals';
import { describeWith, eventually, testServer, uniqueName } from '@millrace/testing';
import { openRedisVectorAdmin } from '../../libs/vectors/src/index.ts';
import type { VectorAdmin } from '../../libs/vectors/src/index.ts';
import { openMilvusVectorAdmin } from '../../libs/vectors-milvus/src/index.ts';
import { CATALOGUE_APPS, NOT_CACHED, ndjson, startPlane } from './support/plane.ts';
import type { Plane } from './support/plane.ts';

jest.setTimeout(180_000);

interface Engine { readonly server: 'redis-stack' | 'milvus'; readonly name: string; readonly variables: () => Record<string, string>; readonly openAdmin: (plane: Plane, env: Record<string, string>) => Promise<VectorAdmin> }

const engines: readonly Engine[] = [
  {
    server: 'milvus', name: 'Milvus',
    variables: () => ({ VECTOR_STORE: 'milvus', MILVUS_ADDRESS: testServer('milvus'), MILVUS_COLLECTION: uniqueName('products').replaceAll(/\W/g, '_') }),
    openAdmin: (plane, env) => openMilvusVectorAdmin({ address: env['MILVUS_ADDRESS'] ?? '', alias: env['MILVUS_COLLECTION'] ?? '', lockUrl: plane.stack.env['REDIS_URL'] ?? '' }),
  },
  {
    server: 'redis-stack', name: "Redis' search module",
    variables: () => ({ VECTOR_STORE: 'redis', VECTOR_REDIS_URL: testServer('redis-stack'), VECTOR_INDEX_NAME: uniqueName('switch') }),
    openAdmin: (_plane, env) => openRedisVectorAdmin({ url: env['VECTOR_REDIS_URL'] ?? '', alias: env['VECTOR_INDEX_NAME'] ?? '' }),
  },
];

const products = (prefix: string, count: number, word = 'brass') => Array.from({ length: count }, (_, n) => ({ sku: `${prefix}-${n}`, name: `Lamp number ${n}`, description: `${word} lamp of series ${n % 9}`, category: `c${n % 7}`, price: n }));

async function stored(admin: VectorAdmin): Promise<Map<string, number>> {
  const versions = new Map<string, number>();
  const live = await admin.liveCollection();
  if (live !== undefined) for await (const batch of admin.readVersions(live)) for (const { sku, version } of batch) versions.set(sku, version);
  return versions;
}
const sorted = (versions: ReadonlyMap<string, number>): string => JSON.stringify([...versions].toSorted(([a], [b]) => (a < b ? -1 : 1)));
const agree = (plane: Plane, admin: VectorAdmin) => eventually(async () => sorted(await stored(admin)) === sorted(await plane.truth()), { timeoutMs: 90_000, everyMs: 250 });
const similar = (plane: Plane, sku: string) => plane.call('GET', `/api/products/${sku}/similar?limit=5&min_score=0.1`, undefined, NOT_CACHED);

/** Leaves nothing of a test on a server that others use. The worker would drop what is made here. */
async function clean(plane: Plane, admin: VectorAdmin): Promise<void> {
  await plane.stack.app('embedding-worker').kill();
  await admin.swapTo(await admin.createCollection({ id: uniqueName('empty'), dimensions: 16, document: '{}' }));
  await admin.dropOthers([]);
  await admin.close();
}

for (const engine of engines.filter(({ server }) => server === 'milvus')) {
  describeWith(engine.server, `the catalogue plane with its vectors in ${engine.name}`, () => {
    let plane: Plane;
    let admin: VectorAdmin;
    beforeAll(async () => {
      const env = engine.variables();
      plane = await startPlane(env, { apps: [...CATALOGUE_APPS, 'recommender'] });
      admin = await engine.openAdmin(plane, env);
    });
    afterAll(async () => {
      await clean(plane, admin);
      await plane.stop();
    });

    it('answers with similar products of it, follows changes and deletes', async () => {
      const prefix = uniqueName('lamp');
      expect(await plane.import(ndjson(products(prefix, 200)))).toMatchObject({ created: 200, failed: 0 });
      await agree(plane, admin);
      const answer = await eventually(async () => {
        const { body } = await similar(plane, `${prefix}-1`);
        return body['degraded'] === false && body['fallback'] === false && body;
      });
      expect(answer['data']).toHaveLength(5);
      expect((await plane.call('DELETE', `/api/products/${prefix}-2`, undefined, { 'if-match': '*' })).status).toBe(204);
      expect(await plane.import(ndjson(products(prefix, 2, 'oil')))).toMatchObject({ updated: 2 });
      await agree(plane, admin);
      expect((await stored(admin)).has(`${prefix}-2`)).toBe(false);
    });

    it('loses nothing when the worker is killed under writes, and fits its model by a rebuild beside', async () => {
      const prefix = uniqueName('dark');
      const importing = plane.import(ndjson(products(prefix, 600)));
      await eventually(async () => (await stored(admin)).size > 250, { timeoutMs: 60_000, everyMs: 50 });
      await plane.stack.app('embedding-worker').kill();
      expect(await importing).toMatchObject({ created: 600, failed: 0 });
      await plane.stack.app('embedding-worker').restart();
      await agree(plane, admin);
      await eventually(async () => (await plane.fits()).rows.some(({ fitted_on: on }) => on >= 500), { timeoutMs: 90_000, everyMs: 250 });
      await agree(plane, admin);
    });
  });
}

for (const engine of engines) {
  describeWith(engine.server, `a running installation that changes from the embedded store to ${engine.name}`, () => {
    let plane: Plane;
    let admin: VectorAdmin;
    const env = { ...(process.env[engine.server === 'milvus' ? 'TEST_MILVUS_ADDRESS' : 'TEST_REDIS_STACK_URL'] && engine.variables()) };
    beforeAll(async () => {
      plane = await startPlane({}, { apps: [...CATALOGUE_APPS, 'recommender'] });
      admin = await engine.openAdmin(plane, env);
    });
    afterAll(async () => {
      await clean(plane, admin);
      await plane.stop();
    });

    it('answers every query from the old store until the new one is filled and validated, with writes all the while, and then from that one', async () => {
      const prefix = uniqueName('lamp');
      expect(await plane.import(ndjson(products(prefix, 700)))).toMatchObject({ created: 700 });
      await plane.agrees();
      // A fit that is under way is a rebuild of the old store.
      await eventually(async () => (await plane.fits()).rows.length >= 2, { timeoutMs: 60_000, everyMs: 200 });
      const before = String((await similar(plane, `${prefix}-1`)).body['model']);
      const switched = { ...env, VECTOR_STORE_PREVIOUS: 'embedded' };
      // Readers first: a worker that has swapped stops writing the old store.
      await plane.stack.app('catalog-api').restart(switched);
      await plane.stack.app('recommender').restart(switched);
      await eventually(async () => {
        expect((await similar(plane, `${prefix}-1`)).body).toMatchObject({ degraded: false, fallback: false, model: before });
        return true;
      });
      expect(await admin.liveCollection()).toBeUndefined();

      const seen: Record<string, unknown>[] = [];
      const asking = new AbortController();
      const ask = (async () => {
        for (let at = 0; !asking.signal.aborted; at += 1) {
          const { status, body } = await similar(plane, `${prefix}-${(at * 7) % 700}`);
          const isBefore = (await admin.liveCollection()) === undefined;
          // Milvus Lite scans in Python: once it answers itself, it may take longer than a search may, on a busy machine.
          if (isBefore || engine.server !== 'milvus') seen.push({ status, degraded: body['degraded'], fallback: body['fallback'], found: Array.isArray(body['data']) ? body['data'].length : 0 });
        }
      })();
      ask.catch(() => undefined); // said where it is awaited
      await plane.stack.app('embedding-worker').restart(switched);
      expect(await plane.import(ndjson(products(`${prefix}x`, 150)))).toMatchObject({ created: 150 });
      await eventually(async () => (await admin.liveCollection()) !== undefined, { timeoutMs: 90_000, everyMs: 100 });
      await agree(plane, admin);
      expect(await plane.import(ndjson(products(`${prefix}y`, 20)))).toMatchObject({ created: 20 });
      await agree(plane, admin);
      await eventually(async () => (await similar(plane, `${prefix}y-1`)).body['fallback'] === false);
      asking.abort();
      await ask;
      expect(seen.length).toBeGreaterThan(5);
      expect(seen.filter(({ status, degraded, fallback, found }) => status !== 200 || degraded !== false || fallback !== false || found !== 5)).toEqual([]);
    });

    it('finds the old store as it was when the change is taken back, and brings it up to date', async () => {
      const back = { VECTOR_STORE: 'embedded', VECTOR_STORE_PREVIOUS: '' };
      await plane.stack.app('catalog-api').restart(back);
      await plane.stack.app('embedding-worker').restart(back);
      await plane.agrees(60_000);
      await eventually(async () => {
        expect((await similar(plane, [...(await plane.truth()).keys()][0] ?? '')).body).toMatchObject({ degraded: false, fallback: false });
        return true;
      });
    });
  });
}
