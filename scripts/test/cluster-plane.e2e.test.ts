// The catalogue plane on a Redis Cluster of three processes, with a partitioned topic: one flow, and a node that dies in it.
import { afterAll, beforeAll, expect, it, jest } from '@jest/globals';
import { describeWith, eventually, startRedisCluster } from '@millrace/testing';
import type { RedisCluster } from '@millrace/testing';
import { connectRedis, closeRedis } from '../../libs/redis-kit/src/index.ts';
import { ndjson, startPlane } from './support/plane.ts';
import type { Plane } from './support/plane.ts';

jest.setTimeout(120_000);

const products = (count: number, price: number) => Array.from({ length: count }, (_, n) => ({ sku: `cluster-${n}`, name: `Lamp number ${n}`, category: `c${n % 7}`, price }));

describeWith('redis-server', 'the catalogue plane on a cluster', () => {
  let cluster: RedisCluster;
  let plane: Plane;
  beforeAll(async () => {
    cluster = await startRedisCluster({ extraArguments: ['--appendonly', 'yes'] });
    plane = await startPlane({ BUS_PARTITIONS: 'product:updates=3' }, cluster.url);
  });
  afterAll(async () => {
    await plane.stop();
    await cluster.stop();
  });

  it('carries every write over three partitions to the search index and the vector store', async () => {
    expect(await plane.import(ndjson(products(600, 10)))).toMatchObject({ created: 600, failed: 0 });
    await plane.agrees();
    const redis = connectRedis(cluster.url, { role: 'background', name: 'e2e' });
    const lengths = await Promise.all([0, 1, 2].map((p) => redis.xlen(`product:updates:{product:updates:${p}}`)));
    await closeRedis(redis);
    for (const length of lengths) expect(length).toBeGreaterThan(100);
    const answer = await plane.call('GET', '/api/search?q=lamp%20number%2017');
    expect(answer.status).toBe(200);
    expect(JSON.stringify(answer.body)).toContain('cluster-17');
  });

  it('loses nothing when a node is killed in the middle of an import', async () => {
    const importing = plane.import(ndjson(products(600, 20)));
    await eventually(async () => (await plane.truth()).size === 600);
    await cluster.nodes[1]?.restart();
    await importing;
    await plane.agrees(60_000);
  });
});
