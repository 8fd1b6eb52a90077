import { describe, expect, it } from '@jest/globals';
import { asFields, asList } from '@millrace/redis-kit';
import type { Redis } from '@millrace/redis-kit';
import { eventually } from '@millrace/testing';
import { numbersOf, publishAll } from '../src/testing.ts';
import type { TestTopic } from '../src/testing.ts';
import { createBusKit } from './bus-kit.ts';
import { servers } from './servers.ts';

let redis: Redis;
let topic: TestTopic;
const { openBus, useServer } = createBusKit();
const delayed = (): Promise<string[]> => redis.zrange(`${topic.name}:delayed:g`, '0', '-1');
const pendingCount = async (): Promise<number> => Number(asList(await redis.xpending(topic.name, 'g'))[0]);

describe.each(servers)('on $name', ({ address }) => {
useServer(address, (fresh) => ({ redis, topic } = fresh));

describe('delayed retry', () => {
  it('puts an entry off in Redis, where its back-off and its handlings outlive the consumer', async () => {
    const began = Date.now();
    const first = openBus({ consumer: 'first', retryBaseMs: 4_000 });
    let handlings = 0;
    await publishAll(first, topic, 1);
    await first.subscribe(topic, { group: 'g' }, async () => {
      handlings += 1;
      throw new Error('not yet');
    });
    await eventually(async () => (await delayed()).length === 1);
    await first.close();
    const before = handlings;
    const [entry = ''] = await delayed();
    expect(Number(await redis.zscore(`${topic.name}:delayed:g`, entry))).toBeGreaterThanOrEqual(began + 2_000);
    expect(await pendingCount()).toBe(1);
    await redis.zadd(`${topic.name}:delayed:g`, Date.now() + 3_600_000, entry);

    // Another consumer leaves it alone, although nobody touches it for longer than claimIdleMs; then it is due.
    const seen: number[] = [];
    const second = openBus({ consumer: 'second', claimIdleMs: 60 });
    await second.subscribe(topic, { group: 'g' }, async (events) => void seen.push(...numbersOf(events)));
    await publishAll(second, topic, 5, 1);
    await eventually(() => seen.length === 5);
    expect(seen).toEqual([1, 2, 3, 4, 5]);
    const attempts = Number(asList(asList(await redis.xpending(topic.name, 'g', '-', '+', 1))[0])[3]);
    expect(attempts).toBe(before);
    await redis.zadd(`${topic.name}:delayed:g`, 0, entry);
    await eventually(() => seen.includes(0));
    await eventually(async () => (await pendingCount()) === 0);
    expect(await delayed()).toEqual([]);
  });

  it('parks an entry after five handlings, however many consumers they were spread over', async () => {
    await publishAll(openBus(), topic, 1);
    let handlings = 0;
    for (let restart = 0; restart < 8; restart += 1) {
      const bus = openBus({ consumer: `c${restart}`, claimIdleMs: 40 });
      const before = handlings;
      const subscription = await bus.subscribe(topic, { group: 'g' }, async () => {
        handlings += 1;
        throw new Error('never');
      });
      await eventually(async () => handlings > before || (await redis.xlen(`${topic.name}:dlq:g`)) === 1);
      await subscription.close();
    }
    const [letter] = await redis.xrange(`${topic.name}:dlq:g`, '-', '+');
    expect(asFields(letter?.[1]).get('attempts')).toBe('5');
    expect(await pendingCount()).toBe(0);
    expect(await delayed()).toEqual([]);
  });

  it('is taken up by a consumer that was there all along when the one that put it off has gone', async () => {
    const seen: string[] = [];
    await redis.xgroup('CREATE', topic.name, 'g', '0', 'MKSTREAM');
    const stays = openBus({ consumer: 'stays' });
    await stays.subscribe(topic, { group: 'g' }, async (events) => void seen.push(...events.map(({ n }) => `stays ${n}`)));
    await publishAll(stays, topic, 1);
    await eventually(() => seen.length === 1);
    // Another consumer reads an entry, puts it off, and dies.
    const entry = `${Date.now() + 60_000}-0`;
    await redis.multi()
      .xadd(topic.name, entry, 'event_type', 'created', 'key', 'k', 'data', '{"key":"k","n":7}')
      .xreadgroup('GROUP', 'g', 'gone', 'COUNT', 1, 'STREAMS', topic.name, '>')
      .zadd(`${topic.name}:delayed:g`, Date.now() + 200, entry)
      .exec();
    await eventually(() => seen.includes('stays 7'));
    expect(await delayed()).toEqual([]);
  });

  it('drops what was deleted while it was put off, and counts it', async () => {
    const bus = openBus({ retryBaseMs: 10_000 });
    await publishAll(bus, topic, 1);
    await bus.subscribe(topic, { group: 'g' }, async () => {
      throw new Error('not yet');
    });
    const [entry = ''] = await eventually(async () => (await delayed()).length === 1 && delayed());
    await redis.xtrim(topic.name, 'MAXLEN', 0);
    await redis.zadd(`${topic.name}:delayed:g`, 0, entry);
    await eventually(async () => (await pendingCount()) === 0);
    expect(await delayed()).toEqual([]);
    expect(await redis.xlen(`${topic.name}:dlq:g`)).toBe(0);
  });
});

describe('consumers of a group', () => {
  it('stay bounded over 300 restarts under ever new names, and none is left as a ghost', async () => {
    const bus = openBus();
    const restarts = process.env['TEST_SCALE'] === 'full' ? 300 : 60;
    await publishAll(bus, topic, 5);
    for (let restart = 0; restart < restarts; restart += 1) await (await bus.subscribe(topic, { group: 'g', consumer: `pod-${restart}` }, async () => undefined)).close();
    await bus.subscribe(topic, { group: 'g', consumer: 'last' }, async () => undefined);
    await eventually(async () => (await bus.lag(topic, 'g')).messages === 0);
    expect(asList(await redis.xinfo('CONSUMERS', topic.name, 'g')).map((one) => asFields(one).get('name'))).toEqual(['last']);
  });

  it('are forgotten where they died with nothing pending, and only then', async () => {
    await redis.xgroup('CREATE', topic.name, 'g', '0', 'MKSTREAM');
    await publishAll(openBus(), topic, 2);
    await redis.xgroup('CREATECONSUMER', topic.name, 'g', 'ghost');
    await redis.xreadgroup('GROUP', 'g', 'busy', 'COUNT', 1, 'STREAMS', topic.name, '>');
    const names = async (): Promise<unknown[]> => asList(await redis.xinfo('CONSUMERS', topic.name, 'g')).map((one) => asFields(one).get('name'));
    await openBus({ consumer: 'me', claimIdleMs: 60_000, forgetConsumersMs: 100, blockMs: 20 }).subscribe(topic, { group: 'g' }, async () => undefined);
    await eventually(async () => !(await names()).includes('ghost'));
    expect(await names()).toContain('busy');
    expect(await pendingCount()).toBe(1);
  });
});
});
