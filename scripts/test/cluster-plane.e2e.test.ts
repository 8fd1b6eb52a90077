// The catalogue plane on a Redis Cluster of three processes, with a partitioned topic: one flow, and a node that dies in it.
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { describeWith, eventually, startRedisCluster } from '@millrace/testing';
import type { RedisCluster } from '@millrace/testing';
import { discardDeadLetters, listDeadLetters, listStreams } from '../../libs/contracts/src/index.ts';
import { connectRedis, closeRedis } from '../../libs/redis-kit/src/index.ts';
import { ndjson, startPlane } from './support/plane.ts';
import type { Plane } from './support/plane.ts';

const products = (count: number, price: number) => Array.from({ length: count }, (_, n) => ({ sku: `cluster-${n}`, name: `Lamp number ${n}`, category: `c${n % 7}`, price }));

describeWith('redis-server', 'the catalogue plane on a cluster', () => {
  let cluster: RedisCluster;
  let plane: Plane;
  beforeAll(async () => {
    cluster = await startRedisCluster({ nodeTimeoutMs: 30_000, extraArguments: ['--appendonly', 'yes'] });
    plane = await startPlane({ BUS_PARTITIONS: 'product:updates=3' }, { redisUrl: cluster.url });
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

  it('shows the partitions and their dead letters through the gateway, wherever they are', async () => {
    const redis = connectRedis(cluster.url, { role: 'background', name: 'e2e' });
    for (const p of [0, 1, 2]) await redis.xadd(`product:updates:{product:updates:${p}}`, '*', 'event_type', 'update', 'product_id', 'cluster-dead', 'data', 'no JSON');
    await closeRedis(redis);
    const listed = async () => (await plane.client.call(listDeadLetters, { query: { key: 'cluster-dead' } })).body.data;
    await eventually(async () => (await listed()).length === 9);
    expect(new Set((await listed()).map(({ partition, group }) => `${group} ${partition}`)).size).toBe(9);
    const { topics } = (await plane.client.call(listStreams)).body;
    expect(topics.find(({ topic }) => topic === 'product:updates')?.streams.map(({ groups }) => groups.map((group) => group.dead_letters))).toEqual([[1, 1, 1], [1, 1, 1], [1, 1, 1]]);
    expect((await plane.client.call(discardDeadLetters, { body: { filter: { key: 'cluster-dead' } } })).body.count).toBe(9);
    expect(await listed()).toEqual([]);
    expect((await plane.call('POST', '/api/admin/streams/product:updates/repartition', { partitions: 4 })).body).toMatchObject({ code: 'conflict', detail: expect.stringContaining('BUS_PARTITIONS') });
  });

  it('loses nothing when a node is killed in the middle of an import', async () => {
    const importing = plane.import(ndjson(products(600, 20)));
    await eventually(async () => (await plane.truth()).size === 600);
    await cluster.nodes[1]?.restart();
    await importing;
    await plane.agrees(60_000);
  });
});
