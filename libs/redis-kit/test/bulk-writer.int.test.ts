import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { startRedisServer, testServer, uniqueName } from '@millrace/testing';
import type { RedisServer } from '@millrace/testing';
import { closeRedis, connectRedis, masterNodes, openBulkWriter, scanKeys, sendByNode, whenReady } from '../src/index.ts';
import type { Redis } from '../src/index.ts';

describe.each(['one server', 'a cluster'])('bulk writes to %s', (where) => {
  let server: RedisServer;
  let redis: Redis;
  beforeAll(async () => {
    server = await startRedisServer();
    redis = connectRedis(where === 'a cluster' ? testServer('redis-cluster') : server.url, { role: 'background', name: 'bulk' });
    await whenReady(redis);
  });
  afterAll(async () => {
    await closeRedis(redis);
    await server.stop();
  });

  it('are all there after drain, whatever characters they have, and are found page by page', async () => {
    const prefix = uniqueName('bulk');
    const writer = await openBulkWriter(redis);
    for (let at = 0; at < 12_000; at += 1) await writer.write(`${prefix}:${at}`, ['SET', `${prefix}:${at}`, `đường ${at}`]);
    await writer.write(`${prefix}:plain`, ['SET', `${prefix}:plain`, 'plain'], true);
    await writer.drain();
    await writer.close();
    const found = new Set<string>();
    for await (const page of scanKeys(masterNodes(redis), `${prefix}:*`)) for (const key of page) found.add(key);
    expect(found.size).toBe(12_001);
    const keys = [`${prefix}:plain`, `${prefix}:0`, `${prefix}:nothing`, `${prefix}:11999`];
    expect(await sendByNode(redis, keys.map((key) => ({ key, name: 'GET', args: [key] })))).toEqual(['plain', 'đường 0', null, 'đường 11999']);
  });

  it('reject with what the server refused', async () => {
    const key = uniqueName('bulk');
    await redis.set(key, 'text');
    const writer = await openBulkWriter(redis);
    await writer.write(key, ['SADD', key, 'member']);
    await expect(writer.drain()).rejects.toThrow('WRONGTYPE');
    await writer.close();
  });
});
