import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { closeRedis, connectRedis, whenReady } from '@millrace/redis-kit';
import type { Redis } from '@millrace/redis-kit';
import { AppError } from '@millrace/service';
import { eventually, startRedisServer } from '@millrace/testing';
import type { Asker } from '../src/index.ts';
import { startBench } from './kit.ts';
import type { Bench, Instance } from './kit.ts';

let bench: Bench;
let redis: Redis;
let instance: Instance;

beforeAll(async () => {
  bench = await startBench();
  redis = connectRedis(bench.redis.url, { role: 'background', name: 'test' });
  await whenReady(redis);
});
afterEach(async () => {
  bench.stub.setWeather({ mode: 'fine' });
  await redis.call('FLUSHALL');
});
afterAll(async () => {
  await closeRedis(redis);
  await bench.close();
});

const outcome = async (work: Promise<unknown>): Promise<{ code: string; retryAfter: string | undefined }> => {
  try {
    await work;
    return { code: 'ok', retryAfter: undefined };
  } catch (error) {
    return error instanceof AppError ? { code: error.code, retryAfter: error.headers['Retry-After'] } : { code: String(error), retryAfter: undefined };
  }
};
/** Nobody waits longer than a test has to. */
const isLate = (mode: string) => (mode === 'slow' || mode === 'hang' ? { timeoutMs: 1_000 } : {});
const requests = (): number => [...bench.stub.seen.values()].reduce((sum, count) => sum + count, 0);

describe('bad weather of the POS', () => {
  it.each([
    { mode: 'unauthorized', code: 'pos_unauthorized', retryAfter: '30' },
    { mode: 'too_many', code: 'pos_quota', retryAfter: '7' },
    { mode: 'error', code: 'pos_unavailable', retryAfter: '5' },
    { mode: 'unavailable', code: 'pos_unavailable', retryAfter: '5' },
    { mode: 'slow', code: 'pos_timeout', retryAfter: '5' },
    { mode: 'hang', code: 'pos_timeout', retryAfter: '5' },
    { mode: 'huge', code: 'pos_bad_answer', retryAfter: undefined },
    { mode: 'broken', code: 'pos_bad_answer', retryAfter: undefined },
    { mode: 'cut', code: 'pos_unavailable', retryAfter: '5' },
    { mode: 'wrong', code: 'pos_bad_answer', retryAfter: undefined },
    { mode: 'html', code: 'pos_bad_answer', retryAfter: undefined },
    { mode: 'refused', code: 'pos_refused', retryAfter: undefined },
    { mode: 'redirect', code: 'pos_bad_answer', retryAfter: undefined },
  ] as const)('$mode is answered as $code, for one page and for one product', async ({ mode, code, retryAfter }) => {
    instance = bench.instance(isLate(mode));
    bench.stub.setWeather({ mode, retry_after_s: 7, delay_ms: 1_500, bytes: 4_194_304 });
    expect(await outcome(instance.kiotviet.list('products', {}, 'caller'))).toEqual({ code, retryAfter });
    bench.stub.setWeather({ mode, retry_after_s: 7, delay_ms: 1_500, bytes: 4_194_304 });
    const second = await outcome(instance.kiotviet.product(1_001, 'caller'));
    expect(second.code).toBe(code);
    expect(instance.kiotviet.connection().state).toMatch(mode === 'too_many' ? /unknown/ : /failing/);
    expect(bench.stub.seen.has('GET /_stub/trap')).toBe(false);
  });

  it.each([
    { mode: 'error', code: 'pos_unavailable' }, { mode: 'hang', code: 'pos_timeout' }, { mode: 'html', code: 'pos_bad_answer' }, { mode: 'too_many', code: 'pos_unavailable' }, { mode: 'huge', code: 'pos_bad_answer' },
  ] as const)('a token endpoint that answers $mode is answered as $code', async ({ mode, code }) => {
    bench.stub.setWeather({ mode, target: 'token' });
    expect((await outcome(bench.instance(isLate(mode)).kiotviet.list('products', {}, 'caller'))).code).toBe(code);
  });

  it('one bad answer is passed over: the request is sent once more', async () => {
    bench.stub.setWeather({ mode: 'cut', times: 1 });
    expect((await bench.instance().kiotviet.list('products', { pageSize: 100 }, 'caller')).data).toHaveLength(100);
  });

  it('after five failures in a row the POS is left alone, and tried again by one request', async () => {
    bench.stub.setWeather({ mode: 'error' });
    const patient = bench.instance({ halfOpenMs: 600_000 });
    instance = bench.instance({ halfOpenMs: 300 });
    for (const { kiotviet } of [patient, instance]) for (let at = 0; at < 5; at += 1) await outcome(kiotviet.list('branches', {}, 'caller'));
    const before = requests();
    expect((await outcome(patient.kiotviet.list('branches', {}, 'caller'))).code).toBe('pos_unavailable');
    expect([requests() - before, patient.kiotviet.connection().state]).toEqual([0, 'left_alone']);
    bench.stub.setWeather({ mode: 'fine' });
    await eventually(async () => (await outcome(instance.kiotviet.list('branches', {}, 'caller'))).code === 'ok');
    expect(instance.kiotviet.connection().state).toBe('ok');
  });

  it('a 429 stops every instance at once, and lowers what is used afterwards', async () => {
    const [first, second] = [bench.instance(), bench.instance()];
    for (let at = 0; at < 20; at += 1) await first.kiotviet.list('customers', { currentItem: at }, 'caller');
    bench.stub.setWeather({ mode: 'too_many', retry_after_s: 120, times: 1 });
    expect(await outcome(first.kiotviet.list('customers', {}, 'caller'))).toEqual({ code: 'pos_quota', retryAfter: '120' });
    const before = requests();
    expect(await outcome(second.kiotviet.list('customers', {}, 'caller'))).toEqual({ code: 'pos_quota', retryAfter: expect.stringMatching(/^1[12]\d$/) });
    expect(requests() - before).toBe(0);
    expect(await second.kiotviet.budget()).toMatchObject({ used: 21, limit: 500, blockedMs: expect.any(Number) });
  });

  it('four instances together never exceed the budget of an hour, of which a part is kept for callers, for notices and for the synchronisation', async () => {
    const small = await startBench({ hourlyLimit: 40 });
    const instances = Array.from({ length: 4 }, () => small.instance({ hourlyLimit: 40 }));
    const ask = async (lane: 'caller' | 'notice' | 'sync') => {
      const said = await Promise.all(Array.from({ length: 60 }, (_none, at) => outcome(instances[at % 4]?.kiotviet.list('customers', { currentItem: at }, lane) ?? Promise.resolve())));
      return [said.filter(({ code }) => code === 'ok').length, said.filter(({ code }) => code === 'pos_quota').length];
    };
    // All but the 15 % of callers and the 10 % of notices.
    expect([await ask('sync'), await ask('caller'), await ask('notice')]).toEqual([[30, 30], [6, 54], [4, 56]]);
    expect([small.stub.hours.total, small.stub.hours.most]).toEqual([40, 40]);
    await small.close();
  });

  describe('by name', () => {
    let small: Bench;
    let instances: readonly Instance[];
    beforeEach(async () => {
      small = await startBench({ hourlyLimit: 40 });
      instances = Array.from({ length: 2 }, () => small.instance({ hourlyLimit: 40 }));
    });
    afterEach(() => small.close());
    const ask = async (asker: Asker): Promise<number> => {
      const said = await Promise.all(Array.from({ length: 30 }, (_none, at) => outcome(instances[at % 2]?.kiotviet.list('customers', { currentItem: at, orderBy: JSON.stringify(asker) }, asker) ?? Promise.resolve())));
      return said.filter(({ code }) => code === 'ok').length;
    };

    it('one caller uses at most half of what the others have left, over all instances, and the others have the rest', async () => {
      // Of 40 less 10 and 4 half, half of the 13 that are left, of the 6 after that, …
      expect([await ask({ caller: 'a' }), await ask({ caller: 'b' }), await ask({ caller: 'c' })]).toEqual([13, 7, 3]);
      expect([await ask({ caller: 'a' }), small.stub.hours.total]).toEqual([0, 23]);
    });

    it('one caller whose share is used up does not get others refused that ask the same at the same time', async () => {
      await ask({ caller: 'a' });
      const [one] = instances;
      const said = await Promise.all(['a', 'b', 'a', 'b', 'c'].map((caller) => outcome(one?.kiotviet.list('customers', {}, { caller }) ?? Promise.resolve())));
      expect([said.map(({ code }) => code), small.stub.hours.total]).toEqual([['pos_quota', 'ok', 'pos_quota', 'ok', 'ok'], 15]);
    });

    it('any number of callers leaves the synchronisation and notices what is kept for them', async () => {
      let callers = 0;
      for (const caller of ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h']) callers += await ask({ caller });
      expect([callers, await ask('sync'), await ask('notice'), small.stub.hours.total]).toEqual([26, 10, 4, 40]);
    });
  });

  it('nothing is sent while Redis cannot count it', async () => {
    const alone = await startBench();
    const one = alone.instance();
    await one.kiotviet.list('customers', {}, 'caller');
    await alone.redis.stop();
    const before = alone.stub.hours.total;
    expect((await outcome(one.kiotviet.list('customers', {}, 'caller'))).code).toBe('unavailable');
    expect(alone.stub.hours.total).toBe(before);
    await alone.close();
  });

  it('an item that cannot be read does not hide the others', async () => {
    const shop = bench.stub.shop.products;
    const known = shop.get(1_003);
    if (!known) throw new Error('no product');
    shop.set(1_003, { ...known, basePrice: Number.NaN, name: 5 } as never);
    const page = await bench.instance().kiotviet.list('products', { pageSize: 10 }, 'caller');
    shop.set(1_003, known);
    expect([page.data.length, page.unreadable]).toEqual([9, [{ id: 1_003, pointer: '/name', detail: 'has a wrong type or form' }]]);
  });
});

describe('kept answers of the POS', () => {
  it('are served without a call, to callers only, until something has changed', async () => {
    instance = bench.instance();
    const other = bench.instance();
    // A request connection refuses commands until it is ready.
    for (const one of [instance, other]) await eventually(async () => (await one.kiotviet.list('branches', {}, 'caller'), one.events.includes('branches cached')));
    const before = bench.stub.hours.total;
    await instance.kiotviet.list('products', { pageSize: 5 }, 'caller');
    await other.kiotviet.list('products', { pageSize: 5 }, 'caller');
    expect(bench.stub.hours.total - before).toBe(1);
    await other.kiotviet.list('products', { pageSize: 5 }, 'sync');
    await other.kiotviet.changed();
    await instance.kiotviet.list('products', { pageSize: 5 }, 'caller');
    expect(bench.stub.hours.total - before).toBe(3);
    expect((await redis.keys('api_cache:kiotviet:products:*')).length).toBeGreaterThan(0);
  });

  it('are not given by an instance that could not make them stale, before it has done so', async () => {
    const own = await startRedisServer(['--appendonly', 'yes', '--appendfsync', 'always']);
    instance = bench.instance({ cacheRedisUrl: own.url });
    const ask = () => instance.kiotviet.list('products', { pageSize: 5 }, 'caller');
    const isCached = async (): Promise<boolean> => { instance.events.length = 0; await ask(); return instance.events.includes('products cached'); };
    await eventually(isCached);
    const other = connectRedis(own.url, { role: 'background', name: 'looking' });
    await whenReady(other);
    const [name = ''] = (await other.keys('api_cache:kiotviet:products:*')).filter((key) => !key.endsWith(':epoch'));
    const kept = await other.get(name);
    await own.kill();
    await instance.kiotviet.changed();
    await own.restart();
    await eventually(isCached);
    expect((await other.get(name)) === kept).toBe(false);
    await closeRedis(other);
    await own.stop();
  });

  it('hold no people: customers and invoices are nowhere in Redis', async () => {
    instance = bench.instance();
    await instance.kiotviet.list('customers', {}, 'caller');
    await instance.kiotviet.list('invoices', {}, 'caller');
    const kept = (await redis.keys('*')).filter((key) => key.startsWith('api_cache'));
    expect(kept).toEqual([]);
  });

  it('belong to one shop', async () => {
    await bench.instance().kiotviet.list('branches', {}, 'caller');
    const foreign = bench.instance({ retailer: 'another' });
    expect((await outcome(foreign.kiotviet.list('branches', {}, 'caller'))).code).toBe('pos_unauthorized');
  });

  it('are not needed: with caches off, or the cache away, everything is answered', async () => {
    const off = bench.instance({ cacheRedisUrl: undefined });
    const away = bench.instance({ cacheRedisUrl: 'redis://127.0.0.1:1' });
    for (const one of [off, away]) {
      expect((await one.kiotviet.list('products', { pageSize: 5 }, 'caller')).data).toHaveLength(5);
      expect((await one.kiotviet.list('products', { pageSize: 5 }, 'caller')).data).toHaveLength(5);
      await one.kiotviet.changed();
    }
  });

  it('are asked for once by callers that ask the same at the same time', async () => {
    instance = bench.instance({ cacheRedisUrl: undefined });
    const before = bench.stub.hours.total;
    await Promise.all(Array.from({ length: 50 }, () => instance.kiotviet.list('products', { pageSize: 5 }, 'caller')));
    expect(bench.stub.hours.total - before).toBe(1);
  });
});
