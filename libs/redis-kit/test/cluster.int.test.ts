import { setImmediate } from 'node:timers/promises';
import { afterEach, describe, expect, it } from '@jest/globals';
import { describeWith, eventually, testServer, uniqueName } from '@millrace/testing';
import { closeRedis, createKeys, defineScript, infoField, infoOfMasters, isCluster, masterNodes, whenReady } from '../src/index.ts';
import type { ConnectOptions, Redis } from '../src/index.ts';
import { createConnections } from './connections.ts';

const { connect: connectTo, closeAll } = createConnections();
const connect = (role: ConnectOptions['role']): Redis => connectTo(testServer('redis-cluster'), role);
afterEach(closeAll);

const NOWHERE = 'redis-cluster://127.0.0.1:1?node=127.0.0.1:2';

describeWith('redis-cluster', 'on a cluster', () => {
  it.each(['request', 'background', 'blocking'] as const)('reaches keys on every node by a %s connection', async (role) => {
    const redis = connect(role);
    await whenReady(redis);
    expect(isCluster(redis)).toBe(true);
    const names = Array.from({ length: 50 }, () => uniqueName('key'));
    await Promise.all(names.map((key) => redis.set(key, key, 'PX', 60_000)));
    expect(await Promise.all(names.map((key) => redis.get(key)))).toEqual(names);
    const here = await Promise.all(masterNodes(redis).map((node) => node.dbsize()));
    expect(here).toHaveLength(3);
    for (const count of here) expect(count).toBeGreaterThan(0);
  });

  it('takes a whole burst on a request connection that is ready', async () => {
    const redis = connect('request');
    await whenReady(redis);
    // ioredis would refuse or put off what a node gets while it connects to it.
    expect(masterNodes(redis).map(({ status }) => status)).toEqual(['ready', 'ready', 'ready']);
    await expect(Promise.all(Array.from({ length: 200 }, () => redis.exists(uniqueName('key'))))).resolves.toHaveLength(200);
  });

  it('runs pipelines and transactions over the keys of one topic', async () => {
    const redis = connect('background');
    const keys = createKeys({ cluster: true }).topic(uniqueName('topic'), 3, 4);
    const pipeline = redis.pipeline().xadd(keys.stream, '*', 'a', '1').set(keys.epoch, 'e').hset(keys.attempts('g'), 'id', '1');
    for (const [error] of (await pipeline.exec()) ?? []) expect(error).toBeNull();
    await expect(redis.multi().xlen(keys.stream).get(keys.epoch).exec()).resolves.toEqual([[null, 1], [null, 'e']]);
    await redis.unlink(keys.stream, keys.epoch, keys.attempts('g'));
  });

  it('runs a script where its keys are, again after every node has forgotten it', async () => {
    const redis = connect('background');
    await whenReady(redis);
    const increase = defineScript(`-- ${uniqueName()}\nreturn redis.call('INCRBY', KEYS[1], ARGV[1])`);
    const names = Array.from({ length: 20 }, () => uniqueName('key'));
    expect(await Promise.all(names.map((key) => increase(redis, [key], [2])))).toEqual(names.map(() => 2));
    await Promise.all(masterNodes(redis).map((node) => node.script('FLUSH')));
    expect(await Promise.all(names.map((key) => increase(redis, [key], [3])))).toEqual(names.map(() => 5));
  });

  it('passes on that the keys of a script are on several nodes', async () => {
    await expect(defineScript('return 1')(connect('background'), ['a', 'b'], [])).rejects.toThrow('CROSSSLOT');
  });

  it('gives the INFO of each master, and of any one', async () => {
    const redis = connect('background');
    await whenReady(redis);
    const rows = await infoOfMasters(redis, ['run_id', 'used_memory', 'no_such_field']);
    expect(new Set(rows.map(([id]) => id)).size).toBe(3);
    for (const row of rows) expect(row).toEqual([expect.any(String), expect.stringMatching(/^\d+$/), undefined]);
    await expect(infoField(redis, 'redis_mode')).resolves.toBe('cluster');
  });

  it('finds the whole cluster by any node of the URL', async () => {
    const url = testServer('redis-cluster').replace(/^[^?]*\?node=([^&]*).*$/, 'redis-cluster://127.0.0.1:1?node=$1');
    const redis = connectTo(url, 'background');
    await whenReady(redis);
    expect(masterNodes(redis)).toHaveLength(3);
  });

  it('closes politely, and says so to whoever comes after', async () => {
    const redis = connect('background');
    await whenReady(redis);
    await closeRedis(redis);
    await eventually(() => redis.status === 'end');
    await expect(redis.get('a')).rejects.toThrow('closed');
    await expect(whenReady(redis)).rejects.toThrow('closed');
    await closeRedis(redis);
  });
});

describe('on a cluster that is away', () => {
  it('rejects a request at once, instead of queueing it', async () => {
    await expect(connectTo(NOWHERE, 'request').get('a')).rejects.toThrow(/enableOfflineQueue/);
  });

  it('rejects background work within its few retries', async () => {
    await expect(connectTo(NOWHERE, 'background').get('a')).rejects.toThrow(/max retries/i);
  });

  it('keeps trying after that, and says which node is not there', async () => {
    const errors: string[] = [];
    const redis = connectTo(NOWHERE, 'background', { onError: ({ message }) => errors.push(message) });
    await expect(redis.get('a')).rejects.toThrow(/max retries/i);
    const before = errors.length;
    await eventually(() => errors.length > before);
    expect(errors.join()).toContain('127.0.0.1:2');
  });

  it.each([
    { when: 'at once', isTime: () => true },
    { when: 'while it is connecting', isTime: (redis: Redis) => masterNodes(redis).length > 0 },
    { when: 'between two attempts', isTime: (redis: Redis) => redis.status === 'reconnecting' },
  ])('closing $when rejects the commands that wait', async ({ isTime }) => {
    const redis = connectTo(NOWHERE, 'blocking');
    const outcome = redis.get('a').catch((error: unknown) => error);
    while (!isTime(redis)) await setImmediate();
    await closeRedis(redis);
    expect(String(await outcome)).toMatch(/closed/i);
    await eventually(() => redis.status === 'end');
    await expect(redis.get('b')).rejects.toThrow(/closed/i);
  });

  it('rejects whenReady in time', async () => {
    await expect(whenReady(connectTo(NOWHERE, 'request'), 50)).rejects.toThrow('did not answer');
  });
});
