import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { closeRedis, connectRedis, createKeys, whenReady } from '@millrace/redis-kit';
import type { Redis } from '@millrace/redis-kit';
import { createLogger } from '@millrace/service';
import { eventually } from '@millrace/testing';
import { createAccessTokens } from '../src/access-tokens.ts';
import type { TokenAnswer } from '../src/access-tokens.ts';
import { createSealer, secretHash } from '../src/index.ts';
import { newSealKey, startBench } from './kit.ts';
import type { Bench, Instance } from './kit.ts';

let bench: Bench;
let redis: Redis;
const keys = createKeys();
const tokenKey = (): string => keys.posToken(bench.settings.clientId, secretHash(bench.settings.clientId, bench.settings.clientSecret));

beforeAll(async () => {
  bench = await startBench({ singleToken: true });
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

/** 25 of each of four. */
const callers = <T>(instances: readonly Instance[], work: (instance: Instance, at: number) => Promise<T>): Promise<T>[] => instances.flatMap((instance, first) => Array.from({ length: 25 }, (_none, at) => work(instance, first * 25 + at)));

const failureOf = (work: Promise<unknown>): Promise<string> => work.then(() => 'none', (error: unknown) => (error instanceof Error && 'code' in error ? String(error.code) : 'other'));

describe('the access token of the POS', () => {
  it('is asked for once where 100 callers of four instances find it expired', async () => {
    const instances = Array.from({ length: 4 }, () => bench.instance());
    await Promise.all(instances.map(({ kiotviet }) => kiotviet.list('categories', { pageSize: 1 }, 'caller')));
    bench.stub.tokens.revoke();
    const before = bench.stub.tokens.issued;
    const pages = await Promise.all(callers(instances, ({ kiotviet }, at) => kiotviet.list('products', { pageSize: 1, currentItem: at }, 'caller')));
    expect(pages.map((page) => page.data.length)).toEqual(Array.from({ length: 100 }, () => 1));
    expect(bench.stub.tokens.issued - before).toBe(1);
  });

  it('is asked for once by 100 callers of four instances that start with none', async () => {
    const before = bench.stub.tokens.issued;
    const instances = Array.from({ length: 4 }, () => bench.instance());
    await Promise.all(callers(instances, ({ tokens }) => tokens.get()));
    expect(bench.stub.tokens.issued - before).toBe(1);
  });

  it('is found again by the one instance that is answered invalid_grant', async () => {
    const [first, second] = [bench.instance(), bench.instance()];
    bench.stub.setWeather({ mode: 'invalid_grant', target: 'token', times: 1 });
    const tokens = await Promise.all([...Array.from({ length: 50 }, () => first.tokens.get()), ...Array.from({ length: 50 }, () => second.tokens.get())]);
    expect([new Set(tokens).size, [...first.tokenEvents, ...second.tokenEvents].filter((event) => event === 'refused')]).toEqual([1, ['refused']]);
  });

  it('is read again after invalid_grant: what another instance has kept meanwhile is taken, nothing is deleted', async () => {
    const other = bench.instance();
    const sealer = createSealer(bench.settings.sealKeys);
    let asked = 0;
    const refused = async (): Promise<TokenAnswer> => {
      asked += 1;
      // The lease has run out, another one has a token.
      if (asked === 2) await redis.del(keys.lease(`kv_token:${bench.settings.clientId}:${secretHash(bench.settings.clientId, bench.settings.clientSecret)}`).lease).then(() => other.tokens.get());
      return { refused: 'invalid_grant' };
    };
    const tokens = createAccessTokens({ ...bench.settings, redis, keys, sealer, logger: createLogger('test', 'silent'), ask: refused });
    expect([await tokens.get(), asked]).toEqual([await other.tokens.get(), 2]);
  });

  it('is said to be refused where the credentials are wrong, without asking for every caller', async () => {
    const wrong = bench.instance({ clientSecret: 'wrong' });
    const asks = bench.stub.seen.get('POST /connect/token') ?? 0;
    const codes = await Promise.all(Array.from({ length: 50 }, () => failureOf(wrong.tokens.get())));
    expect([new Set(codes), (bench.stub.seen.get('POST /connect/token') ?? 0) - asks]).toEqual([new Set(['pos_unauthorized']), 2]);
    expect(await failureOf(wrong.tokens.get())).toBe('pos_unauthorized');
    expect((bench.stub.seen.get('POST /connect/token') ?? 0) - asks).toBe(2);
  });

  it('is replaced ahead of its end once by four instances, whose callers never wait', async () => {
    await bench.instance().tokens.get();
    await redis.pexpire(tokenKey(), 300_000);
    const [before, instances] = [bench.stub.tokens.issued, Array.from({ length: 4 }, () => bench.instance())];
    const first = await Promise.all(instances.map(({ tokens }) => tokens.get()));
    let waits = 0;
    await eventually(async () => {
      const asked = Promise.all(instances.map(({ tokens }) => tokens.get()));
      // A turn of the event loop is over before anything is heard of Redis or the POS.
      if (await Promise.race([asked, new Promise((resolve) => { setImmediate(resolve, 'waits'); })]) === 'waits') waits += 1;
      return (await asked).every((token) => token !== first[0]);
    });
    expect([new Set(first).size, bench.stub.tokens.issued - before, waits]).toEqual([1, 1, 0]);
  });

  it('lies sealed in Redis under its name, for less than its life, and never as it is', async () => {
    const token = await bench.instance().tokens.get();
    const kept = await redis.get(tokenKey());
    expect(kept).toMatch(/^v1\.k1\./);
    expect(kept?.includes(token)).toBe(false);
    const left = await redis.pttl(tokenKey());
    expect([left <= 86_340_000, left > 86_300_000]).toEqual([true, true]);
  });

  it('opens with a key that seals no more, and is replaced where no key opens it', async () => {
    const [old] = bench.settings.sealKeys;
    const token = await bench.instance().tokens.get();
    expect(await bench.instance({ sealKeys: [newSealKey('k2'), old] }).tokens.get()).toBe(token);
    const before = bench.stub.tokens.issued;
    const other = bench.instance({ sealKeys: [newSealKey('k3')] });
    expect(await other.tokens.get()).not.toBe(token);
    expect([bench.stub.tokens.issued - before, await redis.get(tokenKey())]).toEqual([1, expect.stringMatching(/^v1\.k3\./)]);
  });

  it('is in no log line, nor is the secret', async () => {
    const instance = bench.instance();
    const token = await instance.tokens.get();
    await instance.kiotviet.list('customers', {}, 'caller');
    const said = instance.logs.join('\n');
    expect([said.includes(token), said.includes(bench.settings.clientSecret), said.length > 0]).toEqual([false, false, true]);
  });

  it('still serves who has it while Redis is full, and a new one can be kept then', async () => {
    await redis.call('CONFIG', 'SET', 'maxmemory', '1');
    const [first, second] = [bench.instance(), bench.instance()];
    const token = await first.tokens.get();
    expect(await second.tokens.get()).toBe(token);
    expect((await first.kiotviet.list('branches', {}, 'caller')).data).toHaveLength(2);
    await redis.call('CONFIG', 'SET', 'maxmemory', '0');
  });
});
