import { describe, expect, it } from '@jest/globals';
import { createKeys } from '@millrace/redis-kit';
import type { Redis } from '@millrace/redis-kit';
import { hasPassed, readEnds } from '../src/index.ts';
import { publishAll } from '../src/testing.ts';
import type { TestTopic } from '../src/testing.ts';
import { createBusKit } from './bus-kit.ts';
import { servers } from './servers.ts';

let redis: Redis;
let topic: TestTopic;
const { openBus, useServer } = createBusKit();
const keys = createKeys();

describe.each(servers)('on $name', ({ address }) => {
  useServer(address, (fresh) => ({ redis, topic } = fresh));

  it('a group has passed the end of a stream once it has acknowledged everything before it, whatever comes later', async () => {
    expect(await readEnds(redis, keys, topic.name)).toEqual({});
    await redis.xgroup('CREATE', topic.name, 'g', '0', 'MKSTREAM');
    await publishAll(openBus(), topic, 4);
    const ends = await readEnds(redis, keys, topic.name);
    expect(Object.keys(ends)).toEqual([topic.name]);
    expect(await hasPassed(redis, 'g', ends)).toBe(false);
    await redis.xreadgroup('GROUP', 'g', 'c', 'COUNT', 4, 'STREAMS', topic.name, '>');
    expect(await hasPassed(redis, 'g', ends)).toBe(false);
    const pending = await redis.xpending(topic.name, 'g', '-', '+', 10);
    const ids = pending.map((entry) => String(Array.isArray(entry) ? entry[0] : ''));
    await redis.xack(topic.name, 'g', ...ids.slice(1));
    expect(await hasPassed(redis, 'g', ends)).toBe(false);
    await redis.xack(topic.name, 'g', ids[0] ?? '');
    expect(await hasPassed(redis, 'g', ends)).toBe(true);
    await publishAll(openBus(), topic, 1);
    expect(await hasPassed(redis, 'g', ends)).toBe(true);
    expect(await hasPassed(redis, 'g', await readEnds(redis, keys, topic.name))).toBe(false);
    expect(await hasPassed(redis, 'another', ends)).toBe(false);
  });

  it('entries that were trimmed away keep nobody waiting', async () => {
    await redis.xgroup('CREATE', topic.name, 'g', '0', 'MKSTREAM');
    await publishAll(openBus(), topic, 3);
    const ends = await readEnds(redis, keys, topic.name);
    await redis.xtrim(topic.name, 'MAXLEN', 0);
    expect(await hasPassed(redis, 'g', ends)).toBe(true);
    await redis.unlink(topic.name);
    expect(await hasPassed(redis, 'g', ends)).toBe(true);
  });
});
