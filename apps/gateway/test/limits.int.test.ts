import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { closeRedis, connectRedis, keysFor, whenReady } from '@millrace/redis-kit';
import type { ConnectOptions, Redis } from '@millrace/redis-kit';
import { createLogger, createMetrics } from '@millrace/service';
import { describeWith, eventually, startRedisServer, startTunnel, testServer, uniqueName } from '@millrace/testing';
import type { Tunnel } from '@millrace/testing';
import { joinInstances } from '../src/limits/instances.ts';
import type { Limit } from '../src/limits/limit-table.ts';
import { createLimiter } from '../src/limits/limiter.ts';
import type { Ask, Limiter } from '../src/limits/limiter.ts';
import { createRedisGuard } from '../src/limits/redis-guard.ts';

const open: Redis[] = [];
async function connect(url: string, options: Omit<ConnectOptions, 'name'> = { role: 'background' }): Promise<Redis> {
  const redis = connectRedis(url, { name: 'limits-test', ...options });
  open.push(redis);
  await whenReady(redis);
  return redis;
}
async function gateway(url: string, instances = 1): Promise<Limiter> {
  const askRedis = createRedisGuard({ metrics: createMetrics('test'), onFailure: () => undefined });
  return createLimiter({ redis: await connect(url, { role: 'once', silentSocketMs: 500 }), askRedis, instances: () => instances });
}
/** Counts by Redis alone: on a busy machine 50 ms may pass, and then the share of one gateway would be counted besides. */
const patientGateway = async (url: string, now?: () => number): Promise<Limiter> => createLimiter({ redis: await connect(url), askRedis: (askNow) => askNow(), instances: () => 1, ...(now && { now }) });
afterEach(async () => { await Promise.all(open.splice(0).map(closeRedis)); });

// An hour: what a slow machine lets in besides is less than one unit.
const limit = (over: Partial<Limit> = {}): Limit => ({ name: 'test', kind: 'refill', by: 'key', quota: 10, windowSeconds: 3_600, isStrict: true, ...over });
const owner = uniqueName('owner');
const ask = (one: Limit, key = uniqueName('key'), cost = 1): Ask => ({ limit: one, key: keysFor('redis://x').rateLimits.refill(owner, key), cost });
const admittedOf = async (gateways: readonly Limiter[], calls: number, one: Ask): Promise<number> => {
  const verdicts = await Promise.all(gateways.flatMap((each) => Array.from({ length: calls }, async (_none, at) => {
    // In turns, as calls come: leases are used between two questions.
    for (let turn = 0; turn < at % 5; turn += 1) await Promise.resolve();
    return each.take([one]);
  })));
  return verdicts.filter(({ isAdmitted }) => isAdmitted).length;
};
/** 100 calls at a time of each gateway, until nothing more is let in. */
async function exhaust(gateways: readonly Limiter[], one: Ask): Promise<number> {
  let admitted = 0;
  for (;;) {
    const more = await admittedOf(gateways, 25, one);
    admitted += more;
    if (more === 0) return admitted;
  }
}

function describeLimits(url: () => string): void {
  it.each([['strict', true], ['leased', false]])('four gateways admit the quota within 1 %% together (%s)', async (_how, isStrict) => {
    // Leases that end on a slow machine would be lost to the quota.
    const gateways = await Promise.all(Array.from({ length: 4 }, () => patientGateway(url(), () => 0)));
    const admitted = await exhaust(gateways, ask(limit({ quota: 1_000, isStrict })));
    expect(admitted).toBeGreaterThanOrEqual(990);
    expect(admitted).toBeLessThanOrEqual(1_001);
  });
  it('counts a quota by windows over two gateways, and says when the window ends', async () => {
    const gateways = await Promise.all([patientGateway(url()), patientGateway(url())]);
    const chat: Ask = { limit: limit({ kind: 'window', quota: 7 }), key: keysFor(url()).rateLimits.chat(uniqueName('user')), cost: 1 };
    expect(await admittedOf(gateways, 10, chat)).toBe(7);
    const refused = await gateways[0]?.take([chat]);
    expect(refused).toMatchObject({ isAdmitted: false, refusedBy: { remaining: 0 } });
    expect(refused?.refusedBy?.moreInMs).toBeGreaterThan(3_000_000);
  });
}

describe('limits over all instances', () => {
  describeLimits(() => testServer('redis'));

  it('takes what a call costs, and lets a cheaper one in where a dear one is refused', async () => {
    const one = await patientGateway(testServer('redis'));
    const key = uniqueName('key');
    expect(await one.take([ask(limit(), key, 4)])).toMatchObject({ isAdmitted: true, states: [{ remaining: 6 }] });
    expect(await one.take([ask(limit(), key, 4)])).toMatchObject({ isAdmitted: true, states: [{ remaining: 2 }] });
    expect(await one.take([ask(limit(), key, 4)])).toMatchObject({ isAdmitted: false, states: [{ remaining: 2 }] });
    expect(await one.take([ask(limit(), key, 2)])).toMatchObject({ isAdmitted: true, states: [{ remaining: 0 }] });
  });
  it('takes nothing of the other limits where one refuses', async () => {
    const one = await patientGateway(testServer('redis'));
    const [wide, narrow] = [ask(limit({ name: 'wide' })), ask(limit({ name: 'narrow', quota: 1 }))];
    expect(await one.take([wide, narrow])).toMatchObject({ isAdmitted: true });
    const refused = await one.take([wide, narrow]);
    expect(refused).toMatchObject({ isAdmitted: false, refusedBy: { limit: { name: 'narrow' } } });
    expect(await one.take([wide])).toMatchObject({ isAdmitted: true, states: [{ remaining: 8 }] });
  });
  it('asks a caller whom two limits refuse to wait for the slower one, at once and from memory', async () => {
    const one = await patientGateway(testServer('redis'));
    const both = [ask(limit({ name: 'quick', quota: 1, windowSeconds: 60 })), ask(limit({ name: 'slow', quota: 1 }))];
    await one.take(both);
    for (const by of ['redis', 'memory']) expect(await one.take(both)).toMatchObject({ isAdmitted: false, by, refusedBy: { limit: { name: 'slow' } } });
  });
  it('says of a refusal only what refuses, so that nothing it says lasts longer than Retry-After', async () => {
    const one = await patientGateway(testServer('redis'));
    const rare = ask(limit({ name: 'rare', quota: 2 }));
    const both = [ask(limit({ name: 'quick', quota: 1, windowSeconds: 60 })), rare];
    await one.take(both);
    const verdict = await one.take(both);
    expect([verdict.by, verdict.states.map(({ limit: { name } }) => name)]).toEqual(['redis', ['quick']]);
    const chat: Ask = { limit: limit({ name: 'chat', kind: 'window', quota: 1, windowSeconds: 60 }), key: keysFor('redis://x').rateLimits.chat(uniqueName('user')), cost: 1 };
    await one.take([chat]);
    expect((await one.take([rare, chat])).states.map(({ limit: { name } }) => name)).toEqual(['chat']);
  });
  it('refuses from memory until the time has come, and then lets in again', async () => {
    const one = await patientGateway(testServer('redis'));
    const key = ask(limit({ quota: 2, windowSeconds: 1 }));
    while ((await one.take([key])).isAdmitted);
    expect(await eventually(async () => { const verdict = await one.take([key]); return verdict.isAdmitted && verdict.by; })).toBe('redis');
    const slow = ask(limit({ quota: 1 }));
    await one.take([slow]);
    expect(await one.take([slow])).toMatchObject({ isAdmitted: false, by: 'redis' });
    expect(await one.take([slow])).toMatchObject({ isAdmitted: false, by: 'memory' });
  });
  it('asks Redis for few of the calls of a busy caller who is far from the limit', async () => {
    const one = await patientGateway(testServer('redis'));
    const key = ask(limit({ quota: 100_000, isStrict: false }));
    let asked = 0;
    for (let call = 0; call < 1_000; call += 1) if ((await one.take([key])).by === 'redis') asked += 1;
    expect(asked).toBeLessThan(50);
  });
  it('never says that more is left than the quota, however many units are leased and come back', async () => {
    const one = await patientGateway(testServer('redis'));
    const quick = limit({ quota: 100_000, windowSeconds: 1, isStrict: false });
    const workspace = ask({ ...quick, name: 'workspace' });
    const left: number[] = [];
    for (let key = 0; key < 5; key += 1) {
      const own = ask(quick);
      for (let call = 0; call < 30; call += 1) left.push(...(await one.take([own, workspace])).states.map(({ remaining }) => remaining));
    }
    expect(Math.max(...left)).toBeLessThanOrEqual(100_000);
  });
  it('leases at most 2 % of a limit at once, however many calls come together', async () => {
    const one = await patientGateway(testServer('redis'));
    const key = uniqueName('key');
    const wide = limit({ quota: 100_000, windowSeconds: 86_400, isStrict: false });
    for (let round = 0; round < 40; round += 1) await Promise.all(Array.from({ length: 50 }, () => one.take([ask(wide, key)])));
    const other = await patientGateway(testServer('redis'));
    const left = (await other.take([ask({ ...wide, isStrict: true }, key)])).states[0]?.remaining;
    expect(left).toBeGreaterThanOrEqual(100_000 - 2_001 - 2_000);
    expect(left).toBeLessThan(100_000 - 2_000 + 200);
  });
  it('admits a whole quota whose interval is no whole number of microseconds, and not one call more', async () => {
    const one = await patientGateway(testServer('redis'));
    const key = uniqueName('key');
    const taken = [];
    for (let at = 0; at < 3; at += 1) taken.push(await one.take([ask(limit({ quota: 3_333_333 }), key, 1_111_111)]));
    expect(taken.map(({ isAdmitted }) => isAdmitted)).toEqual([true, true, true]);
    expect(await one.take([ask(limit({ quota: 3_333_333 }), key, 1_111_111)])).toMatchObject({ isAdmitted: false });
  });
  it('lets in of calls that come together exactly those that fit, in their order, and tells each what is left to it', async () => {
    const redis = await connect(testServer('redis'));
    let questions = 0;
    const limiter = createLimiter({ redis, askRedis: (askNow) => { questions += 1; return askNow(); }, instances: () => 1 });
    const [wide, narrow] = [ask(limit({ name: 'wide', quota: 100 }), undefined, 3), ask(limit({ name: 'narrow', quota: 10 }), undefined, 3)];
    const verdicts = await Promise.all(Array.from({ length: 5 }, () => limiter.take([wide, narrow])));
    expect(questions).toBe(1);
    expect(verdicts.map(({ isAdmitted, states }) => [isAdmitted, ...states.map((state) => `${state.limit.name} ${state.remaining}`)])).toEqual([
      [true, 'wide 97', 'narrow 7'], [true, 'wide 94', 'narrow 4'], [true, 'wide 91', 'narrow 1'], [false, 'narrow 1'], [false, 'narrow 1'],
    ]);
    // What was refused has taken nothing of the other limit.
    expect((await limiter.take([wide])).states).toMatchObject([{ remaining: 88 }]);
  });
  it('knows how many gateways there are', async () => {
    const keys = { ...keysFor('redis://x'), rateLimits: { ...keysFor('redis://x').rateLimits, instances: uniqueName('instances') } };
    const logger = createLogger('test', 'silent');
    const redis = await connect(testServer('redis'));
    const [a, b, c] = [joinInstances({ redis, keys, logger }), joinInstances({ redis, keys, logger }), joinInstances({ redis, keys, logger })];
    for (const one of [a, b, c, a]) await one.beat();
    expect(a.count()).toBe(3);
    await b.close();
    await a.beat();
    expect(a.count()).toBe(2);
    await Promise.all([a.close(), c.close()]);
  });
});

describeWith('redis-cluster', 'limits on a cluster', () => describeLimits(() => testServer('redis-cluster')));

describe('limits without Redis', () => {
  it('counts by itself while Redis is full', async () => {
    const server = await startRedisServer();
    try {
      const one = await gateway(server.url, 2);
      await open[0]?.config('SET', 'maxmemory', '1');
      const key = ask(limit({ quota: 2 }));
      expect(await one.take([key])).toMatchObject({ by: 'local', isAdmitted: true });
      expect(await one.take([key])).toMatchObject({ by: 'local', isAdmitted: false });
    } finally {
      await server.stop();
    }
  });

  let tunnel: Tunnel;
  beforeAll(async () => { tunnel = await startTunnel(testServer('redis')); });
  afterAll(() => tunnel.close());

  it.each([['away', (on: boolean) => tunnel.drop(on)], ['hanging', (on: boolean) => tunnel.swallow(on)]])('lets in its share of the quota while Redis is %s, and all of it afterwards', async (_how, fail) => {
    const one = await gateway(tunnel.url, 4);
    const key = ask(limit({ quota: 8 }));
    await eventually(async () => (await one.take([ask(limit())])).by === 'redis');
    fail(true);
    const verdicts = [];
    for (let call = 0; call < 4; call += 1) verdicts.push(await one.take([key]));
    expect(verdicts.map(({ by }) => by)).toEqual(['local', 'local', 'local', 'local']);
    expect(verdicts.map(({ isAdmitted }) => isAdmitted)).toEqual([true, true, false, false]);
    fail(false);
    expect(await eventually(async () => { const verdict = await one.take([key]); return verdict.by === 'redis' && verdict.isAdmitted; })).toBe(true);
  });
});
