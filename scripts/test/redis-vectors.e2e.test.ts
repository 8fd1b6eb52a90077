// The catalogue plane with its vectors in Redis' search module, and that Redis killed under writes.
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { describeWith, eventually, startRedisStack, uniqueName } from '@millrace/testing';
import type { RedisServer } from '@millrace/testing';
import { openRedisVectorAdmin } from '../../libs/vectors/src/index.ts';
import type { VectorAdmin } from '../../libs/vectors/src/index.ts';
import { CATALOGUE_APPS, NOT_CACHED, ndjson, startPlane } from './support/plane.ts';
import type { Plane } from './support/plane.ts';

const products = (prefix: string, count: number) => Array.from({ length: count }, (_, n) => ({ sku: `${prefix}-${n}`, name: `Lamp number ${n}`, description: `brass lamp of series ${n % 9}`, category: `c${n % 7}`, price: n }));

describeWith('redis-stack', 'the catalogue plane with its vectors in Redis', () => {
  let server: RedisServer;
  let plane: Plane;
  let admin: VectorAdmin;
  beforeAll(async () => {
    server = await startRedisStack();
    plane = await startPlane({ VECTOR_STORE: 'redis', VECTOR_REDIS_URL: server.url, VECTOR_ALIAS_KEYS: 'true' }, { apps: CATALOGUE_APPS });
    admin = await openRedisVectorAdmin({ url: server.url, alias: 'product:vectors' });
  });
  afterAll(async () => {
    await admin.close();
    await plane.stop();
    await server.stop();
  });

  const stored = async (): Promise<Map<string, number>> => {
    const versions = new Map<string, number>();
    const live = await admin.liveCollection();
    if (live !== undefined) for await (const batch of admin.readVersions(live)) for (const { sku, version } of batch) versions.set(sku, version);
    return versions;
  };
  const sorted = (versions: ReadonlyMap<string, number>): [string, number][] => [...versions].toSorted(([a], [b]) => (a < b ? -1 : 1));
  const agrees = () => eventually(async () => JSON.stringify(sorted(await stored())) === JSON.stringify(sorted(await plane.truth())), { timeoutMs: 60_000, everyMs: 200 });
  const readiness = async (): Promise<number> => (await fetch(`${plane.stack.app('embedding-worker').internalUrl}/readyz`)).status;

  it('answers with similar products of it, and shows them to other readers under their keys', async () => {
    const prefix = uniqueName('lamp');
    expect(await plane.import(ndjson(products(prefix, 300)))).toMatchObject({ created: 300, failed: 0 });
    await agrees();
    const answer = await eventually(async () => {
      const { body } = await plane.call('GET', `/api/products/${prefix}-1/similar?limit=5&min_score=0.5`);
      return body['degraded'] === false && body['fallback'] === false && body;
    });
    expect(answer['data']).toHaveLength(5);
    const redis = new Redis(server.url);
    const [byModel, plain] = await Promise.all([redis.hgetall(`product:embedding@${String(answer['model'])}:${prefix}-1`), redis.hgetall(`product:embedding:${prefix}-1`)]);
    await redis.quit();
    expect(byModel).toMatchObject({ name: 'Lamp number 1', category: 'c1', price_minor: '100', currency: 'USD', in_stock: '1', model: answer['model'], version: String((await plane.truth()).get(`${prefix}-1`)) });
    expect(plain).toEqual(byModel);
  });

  it('loses nothing when that Redis is killed under writes: the worker is not ready meanwhile, answers are degraded, then all catches up', async () => {
    const prefix = uniqueName('dark');
    const importing = plane.import(ndjson(products(prefix, 1_200)));
    await eventually(async () => (await stored().catch(() => new Map<string, number>())).size > 350, { timeoutMs: 30_000, everyMs: 5 });
    await server.kill();
    await eventually(async () => (await readiness()) === 503);
    expect(await importing).toMatchObject({ created: 1_200, failed: 0 });
    expect((await plane.call('DELETE', `/api/products/${prefix}-3`, undefined, { 'if-match': '*' })).status).toBe(204);
    expect((await plane.call('GET', `/api/products/${prefix}-1/similar`, undefined, NOT_CACHED)).body).toMatchObject({ degraded: true });
    await server.restart();
    await eventually(async () => (await readiness()) === 200, { timeoutMs: 60_000 });
    await agrees();
    expect((await stored()).has(`${prefix}-3`)).toBe(false);
  });

  it('builds everything anew where that Redis has lost all it had', async () => {
    const before = (await stored()).size;
    expect(before).toBeGreaterThan(1_000);
    const redis = new Redis(server.url);
    await redis.flushall();
    await redis.quit();
    await agrees();
    expect(await admin.liveCollection()).toBeDefined();
  });
});
