import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { describeWith, eventually, startRedisCluster, startRedisReplica, startRedisSentinel, startRedisServer, uniqueName } from '@millrace/testing';
import type { RedisCluster, RedisServer } from '@millrace/testing';
import { closeRedis, infoField, isCluster, masterNodes, whenReady } from '../src/index.ts';
import type { Redis } from '../src/index.ts';
import { createConnections } from './connections.ts';

const { connect, closeAll } = createConnections();

/** The place of the slot's first master among the cluster's three. */
async function placeOf(redis: Redis, key: string): Promise<number> {
  return Math.floor(((await redis.cluster('KEYSLOT', key)) * 3) / 16_384);
}

const portOf = (redis: Redis, slot: number): number => (isCluster(redis) ? Number(redis.slots[slot]?.[0]?.split(':')[1]) : 0);

describeWith('redis-server', 'on a cluster with replicas', () => {
  let cluster: RedisCluster;
  beforeEach(async () => {
    cluster = await startRedisCluster({ replicas: 1, nodeTimeoutMs: 4_000 });
  });
  afterEach(async () => {
    await closeAll();
    await cluster.stop();
  });
  const node = (at: number): RedisServer => {
    const found = cluster.nodes[at];
    if (!found) throw new Error(`no node ${at}`);
    return found;
  };

  it('loses no write and no waiting read to a planned failover', async () => {
    const redis = connect(cluster.url, 'background');
    const reader = connect(cluster.url, 'blocking');
    await Promise.all([whenReady(redis), whenReady(reader)]);
    const stream = uniqueName();
    const slot = await redis.cluster('KEYSLOT', stream);
    const place = await placeOf(redis, stream);
    const replica = connect(node(3 + place).url, 'background');

    const written: (string | null)[] = [];
    const stopping = new AbortController();
    const writing = (async () => {
      while (!stopping.signal.aborted) written.push(await redis.xadd(stream, '*', 'at', written.length));
    })();
    await eventually(() => written.length > 10);
    await replica.cluster('FAILOVER');
    await eventually(async () => (await infoField(replica, 'role')) === 'master');
    const before = written.length;
    await eventually(() => written.length > before + 10 && portOf(redis, slot) === node(3 + place).port);
    stopping.abort();
    await writing;
    await expect(redis.xlen(stream)).resolves.toBe(written.length);

    const waiting = reader.xread('BLOCK', 0, 'STREAMS', stream, '$');
    await eventually(async () => String(await replica.client('LIST')).includes('cmd=xread'));
    const id = await redis.xadd(stream, '*', 'at', 'last');
    expect(await waiting).toEqual([[stream, [[id, ['at', 'last']]]]]);
  });

  it('while a killed master has no successor a request fails fast, background work soon, and a blocking command waits; then all work', async () => {
    const [request, background, blocking] = [connect(cluster.url, 'request'), connect(cluster.url, 'background'), connect(cluster.url, 'blocking')];
    await Promise.all([request, background, blocking].map((redis) => whenReady(redis)));
    const key = uniqueName();
    const stream = `{${key}}:stream`;
    const waiting = blocking.xread('BLOCK', 0, 'STREAMS', stream, '0');
    const place = await placeOf(request, key);
    const replica = connect(node(3 + place).url, 'background');
    await replica.config('SET', 'cluster-replica-no-failover', 'yes');
    await node(place).kill();

    const failed: string[] = [];
    await Promise.all([request, background].map((redis) => redis.set(key, 'a').catch(() => failed.push(redis === request ? 'request' : 'background'))));
    expect(failed).toEqual(['request', 'background']);
    await replica.config('SET', 'cluster-replica-no-failover', 'no');
    await Promise.all([request, background].map((redis) => eventually(() => redis.set(key, 'b').then(() => true))));
    const id = await request.xadd(stream, '*', 'a', '1');
    expect(await waiting).toEqual([[stream, [[id, ['a', '1']]]]]);
    expect(masterNodes(request).length).toBeGreaterThanOrEqual(3);
  });

  it('leaves a master that stays silent for the one that has taken over, and closes in time meanwhile', async () => {
    const redis = connect(cluster.url, 'blocking', { silentSocketMs: 1_000 });
    await whenReady(redis);
    const key = uniqueName();
    await redis.set(key, 'a');
    const silent = node(await placeOf(redis, key));
    const leaving = connect(cluster.url, 'blocking');
    await whenReady(leaving);
    silent.pause();
    const outcome = leaving.get(key).catch((error: unknown) => error);
    // While the master owes the answer: it is resumed below.
    await closeRedis(leaving);
    expect(String(await outcome)).toMatch(/closed/i);

    await expect(redis.set(key, 'b')).resolves.toBe('OK');
    silent.resume();
    await expect(redis.get(key)).resolves.toBe('b');
  });

  it('finds the whole cluster again after every node was away', async () => {
    const redis = connect(cluster.url, 'blocking');
    await whenReady(redis);
    await Promise.all(cluster.nodes.map((one) => one.kill()));
    await eventually(() => redis.status !== 'ready');
    const answer = redis.set(uniqueName(), 'a');
    await Promise.all(cluster.nodes.map((one) => one.restart()));
    await expect(answer).resolves.toBe('OK');
  });
});

describeWith('redis-server', 'behind Sentinel', () => {
  it('follows the primary to the replica that takes over when it is killed', async () => {
    const primary = await startRedisServer();
    const replica = await startRedisReplica(primary);
    const name = uniqueName('primary');
    const sentinel = await startRedisSentinel(primary, name);
    const url = `redis-sentinel://127.0.0.1:1?node=127.0.0.1:${sentinel.port}&sentinelServiceName=${name}`;
    const [request, background, blocking] = [connect(url, 'request'), connect(url, 'background'), connect(url, 'blocking')];
    await Promise.all([request, background, blocking].map((redis) => whenReady(redis)));
    await request.set('a', '1');
    await eventually(async () => (await infoField(connect(replica.url, 'background'), 'master_repl_offset')) !== '0');
    await expect(infoField(request, 'tcp_port')).resolves.toBe(String(primary.port));
    const waiting = blocking.blpop('list', 0);

    await primary.kill();
    await eventually(() => request.set('a', '2').then(() => true));
    await expect(infoField(request, 'tcp_port')).resolves.toBe(String(replica.port));
    await eventually(() => background.rpush('list', 'x').then(() => true));
    expect(await waiting).toEqual(['list', 'x']);
    await closeAll();
    await Promise.all([primary, replica, sentinel].map((server) => server.stop()));
  });

  it('rejects by role while no sentinel answers, and closing ends it', async () => {
    const url = 'redis-sentinel://127.0.0.1:1?node=127.0.0.1:2&sentinelServiceName=nobody';
    await expect(connect(url, 'request').get('a')).rejects.toThrow(/enableOfflineQueue/);
    await expect(connect(url, 'background').get('a')).rejects.toThrow(/max retries/i);
    const blocking = connect(url, 'blocking');
    const outcome = blocking.get('a').catch((error: unknown) => error);
    await delay(0);
    await closeRedis(blocking);
    expect(String(await outcome)).toMatch(/closed/i);
    await eventually(() => blocking.status === 'end');
  });
});
