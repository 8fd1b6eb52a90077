import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { closeRedis, connectRedis, whenReady } from '@millrace/redis-kit';
import { createLogger, createMetrics } from '@millrace/service';
import { eventually, startRedisCluster, startRedisServer, uniqueName } from '@millrace/testing';
import { openResponseCache } from '../src/index.ts';
import type { Answer, CacheCall, CacheResult, Keeping, OpenResponseCache, OpenResponseCacheOptions } from '../src/index.ts';

const scale = process.env['TEST_SCALE'] === 'full' ? 10 : 1;
const opened: OpenResponseCache[] = [];
/** One instance of the gateway, as it were. */
async function open(url: string, options: Partial<OpenResponseCacheOptions> = {}): Promise<OpenResponseCache> {
  const cache = openResponseCache({ url, name: 'test', registry: createMetrics('test'), logger: createLogger('test', 'silent'), timeoutMs: 20_000, ...options });
  opened.push(cache);
  await eventually(async () => (await cache.state()).redis !== undefined && (await cache.state()).isUsable);
  return cache;
}
afterEach(async () => { await Promise.all(opened.splice(0).map((cache) => cache.close())); });

/** An origin whose answer says its version; it answers when it is told to, or at once. */
function createOrigin(keeping: Partial<Keeping> = {}) {
  const id = uniqueName('id');
  const origin = {
    id, tag: `sku:${id}`, version: 1, calls: 0, failure: undefined as Error | undefined, status: 200, isHeld: false, turns: 0, onAsked: () => undefined as void, waiting: [] as (() => void)[],
    release: () => { origin.isHeld = false; for (const go of origin.waiting.splice(0)) go(); },
    fetch: async (): Promise<Answer> => {
      origin.calls += 1;
      const body = Buffer.from(`v${origin.version} é`);
      origin.onAsked();
      for (let turn = 0; turn < origin.turns; turn += 1) await new Promise((resolve) => { setImmediate(resolve); });
      if (origin.isHeld) await new Promise<void>((resolve) => { origin.waiting.push(resolve); });
      if (origin.failure) throw origin.failure;
      return { status: origin.status, headers: { etag: '"1"' }, body };
    },
  };
  const call: CacheCall = { id, operation: 'op', fetch: () => origin.fetch(), keep: () => ({ freshMs: 60_000, tags: [origin.tag], ...keeping }) };
  return Object.assign(origin, { call });
}
const textOf = ({ answer }: CacheResult): string | undefined => answer?.body.toString();
const seenBy = async (cache: OpenResponseCache, call: CacheCall): Promise<[CacheResult['outcome'], string | undefined]> => {
  const result = await cache.get(call);
  return [result.outcome, textOf(result)];
};

describe.each([
  { where: 'one server', start: () => startRedisServer() },
  { where: 'a cluster', start: () => startRedisCluster({ masters: 3 }) },
])('the response cache over $where', ({ start }) => {
  let server: Awaited<ReturnType<typeof start>>;
  beforeAll(async () => { server = await start(); });
  afterAll(() => server.stop());

  it('gives what another instance stored, then from its own memory, until a purge by either', async () => {
    const [a, b] = [await open(server.url), await open(server.url, { nearMs: 60_000 })];
    const origin = createOrigin();
    expect(await seenBy(a, origin.call)).toEqual(['miss', 'v1 é']);
    expect(await a.get(origin.call)).toMatchObject({ outcome: 'hit', answer: { status: 200, headers: { etag: '"1"' } }, ageMs: expect.any(Number) });
    expect([await seenBy(b, origin.call), await seenBy(b, origin.call), origin.calls]).toEqual([['hit', 'v1 é'], ['near', 'v1 é'], 1]);
    origin.version = 2;
    await b.purge([origin.tag]);
    expect([await seenBy(b, origin.call), origin.calls]).toEqual([['miss', 'v2 é'], 2]);
    origin.version = 3;
    await b.purge(undefined);
    expect(await seenBy(b, origin.call)).toEqual(['miss', 'v3 é']);
    await b.purge(['sku:another']);
    expect((await seenBy(b, origin.call))[0]).toBe('hit');
  });

  it('never keeps an answer that the origin gave before the purge, nor lets a later caller wait for it', async () => {
    const [a, b] = [await open(server.url, { nearBytes: 0 }), await open(server.url, { nearBytes: 0 })];
    const origin = createOrigin();
    origin.isHeld = true;
    const before = a.get(origin.call);
    await eventually(() => origin.calls === 1);
    origin.version = 2;
    await a.purge([origin.tag]);
    const after = a.get(origin.call);
    origin.release();
    expect([textOf(await before), textOf(await after)]).toEqual(['v1 é', 'v2 é']);
    expect(textOf(await b.get(origin.call))).toBe('v2 é');
  });

  it('asks the origin once for many callers of many instances', async () => {
    const caches = await Promise.all(Array.from({ length: 4 }, () => open(server.url, { lockMs: 30_000 })));
    const origin = createOrigin();
    origin.isHeld = true;
    const answers = caches.flatMap((cache) => Array.from({ length: 25 * scale }, () => cache.get(origin.call)));
    await eventually(() => origin.calls > 0);
    origin.release();
    expect(new Set((await Promise.all(answers)).map(textOf))).toEqual(new Set(['v1 é']));
    expect(origin.calls).toBe(1);
  });
});

describe('the response cache', () => {
  let server: Awaited<ReturnType<typeof startRedisServer>>;
  beforeAll(async () => { server = await startRedisServer(); });
  afterAll(() => server.stop());

  it(`shows no version from before a change once its purge is done, in ${100 * scale} races of two instances`, async () => {
    const [a, b] = [await open(server.url), await open(server.url)];
    const origin = createOrigin();
    const seen: string[] = [];
    for (let race = 1; race <= 100 * scale; race += 1) {
      // The answer is what was so when it was asked for, and comes sooner or later than the purge.
      origin.turns = race % 40;
      // In every second one the change comes when the origin has just read what was so before.
      if (race % 2 === 0) await a.purge([origin.tag]);
      const changed = new Promise<void>((resolve) => {
        const change = (): void => { origin.onAsked = () => undefined; origin.version += 1; resolve(); };
        if (race % 2 === 0) origin.onAsked = change;
        else change();
      });
      const racers = [a, b, a, b].map((cache) => cache.get(origin.call));
      await changed;
      const more = [b, a].map((cache) => cache.get(origin.call));
      await Promise.all([a.purge([origin.tag]), b.purge([origin.tag])]);
      const after = await Promise.all([a, b].map((cache) => cache.get(origin.call)));
      await Promise.all([...racers, ...more]);
      const later = await Promise.all([a, b].map((cache) => cache.get(origin.call)));
      for (const result of [...after, ...later]) if (textOf(result) !== `v${origin.version} é`) seen.push(`${textOf(result)} instead of v${origin.version} by ${result.outcome}`);
    }
    expect(seen).toEqual([]);
  });

  it('gives a stale answer while one caller asks again, and the new one afterwards', async () => {
    const a = await open(server.url, { nearBytes: 0 });
    const origin = createOrigin({ freshMs: 1, staleWhileRevalidateMs: 60_000 });
    await a.get(origin.call);
    origin.version = 2;
    const stale = await eventually(async () => { const result = await a.get(origin.call); return result.outcome === 'stale' && result; });
    expect([textOf(stale)?.startsWith('v'), (stale.ttlMs ?? 1) <= 0]).toEqual([true, true]);
    expect(await eventually(async () => textOf(await a.get(origin.call)) === 'v2 é')).toBe(true);
  });

  it('gives the last answer where the origin fails, by an error or by a 500, and the failure where there is none', async () => {
    const a = await open(server.url, { nearBytes: 0 });
    const origin = createOrigin({ freshMs: 1, staleIfErrorMs: 60_000 });
    await a.get(origin.call);
    origin.failure = new Error('down');
    expect(await eventually(async () => { const [outcome, text] = await seenBy(a, origin.call); return outcome === 'stale_error' && text; })).toBe('v1 é');
    [origin.failure, origin.status] = [undefined, 503];
    expect(await seenBy(a, origin.call)).toEqual(['stale_error', 'v1 é']);
    await a.purge([origin.tag]);
    expect(await a.get(origin.call)).toMatchObject({ outcome: 'miss', answer: { status: 503 }, isStored: false });
    origin.failure = new Error('down');
    await expect(a.get(origin.call)).rejects.toThrow('down');
  });

  it('lets another instance ask where the one that was asking is gone', async () => {
    const [a, b] = [await open(server.url, { lockMs: 100 }), await open(server.url, { lockMs: 100 })];
    const origin = createOrigin();
    origin.isHeld = true;
    const lost = a.get(origin.call).catch(() => undefined);
    await eventually(() => origin.calls === 1);
    await a.close();
    const other = b.get(origin.call);
    await eventually(() => origin.calls === 2);
    origin.release();
    expect(textOf(await other)).toBe('v1 é');
    await lost;
  });

  it('does not keep what is not for the cache', async () => {
    const a = await open(server.url);
    const origin = createOrigin();
    const call = { ...origin.call, keep: () => undefined };
    expect([(await a.get(call)).isStored, (await a.get(call)).outcome, origin.calls]).toEqual([false, 'miss', 2]);
  });

  it('takes what it cannot read for nothing, and goes on', async () => {
    const a = await open(server.url, { nearBytes: 0 });
    const origin = createOrigin();
    await a.get(origin.call);
    const redis = connectRedis(server.url, { role: 'request', name: 'another release' });
    await whenReady(redis);
    for (const meta of ['{"other":1}', 'no json']) {
      await redis.hset(`cache:entry:${origin.id}`, { meta });
      expect([await seenBy(a, origin.call), (await a.state()).isUsable, (await seenBy(a, origin.call))[0]]).toEqual([['miss', 'v1 é'], true, 'hit']);
    }
    await closeRedis(redis);
  });

  it('loses what it holds together with the clock, never only the clock', async () => {
    const a = await open(server.url, { nearBytes: 0 });
    const origin = createOrigin();
    await a.get(origin.call);
    const redis = connectRedis(server.url, { role: 'request', name: 'evictor' });
    await whenReady(redis);
    await redis.del('cache:clock');
    origin.version = 2;
    expect(await seenBy(a, origin.call)).toEqual(['miss', 'v2 é']);
    await closeRedis(redis);
  });
});

describe('the response cache without its Redis', () => {
  it('asks the origin while Redis hangs, and gives nothing from it until what was purged meanwhile is purged there', async () => {
    const server = await startRedisServer();
    const a = await open(server.url, { timeoutMs: 50, nearBytes: 0 });
    const origin = createOrigin();
    await eventually(async () => (await seenBy(a, origin.call))[0] === 'hit');
    server.pause();
    expect(await seenBy(a, origin.call)).toEqual(['bypass', 'v1 é']);
    origin.version = 2;
    await a.purge([origin.tag]);
    expect(await seenBy(a, origin.call)).toEqual(['bypass', 'v2 é']);
    server.resume();
    const first = await eventually(async () => { const [outcome, text] = await seenBy(a, origin.call); return outcome !== 'bypass' && text; });
    expect(first).toBe('v2 é');
    await server.stop();
  });

  it('waits for a slow Redis as long as it was told to', async () => {
    const server = await startRedisServer();
    const a = await open(server.url, { nearBytes: 0 });
    const origin = createOrigin();
    await a.get(origin.call);
    const redis = connectRedis(server.url, { role: 'request', name: 'pausing' });
    await whenReady(redis);
    await redis.call('CLIENT', ['PAUSE', '1000', 'ALL']);
    expect(await seenBy(a, origin.call)).toEqual(['hit', 'v1 é']);
    await closeRedis(redis);
    await server.stop();
  });

  it('gives nothing that an earlier life of Redis stored, after a restart that kept it', async () => {
    const server = await startRedisServer(['--appendonly', 'yes', '--appendfsync', 'always']);
    const a = await open(server.url, { nearBytes: 0 });
    const origin = createOrigin();
    await a.get(origin.call);
    origin.version = 2;
    await server.restart();
    const [, text] = await eventually(async () => { const seen = await seenBy(a, origin.call); return seen[0] === 'hit' && seen; });
    expect(text).toBe('v2 é');
    await server.stop();
  });

  it('gives nothing that an earlier life of a Redis stored which was away when it was opened', async () => {
    const server = await startRedisServer(['--appendonly', 'yes', '--appendfsync', 'always']);
    await server.kill();
    const opening = open(server.url, { nearBytes: 0, firstLookMs: 1 });
    const other = connectRedis(server.url, { role: 'request', name: 'late' });
    await expect(whenReady(other, 200)).rejects.toThrow('did not answer');
    await server.restart();
    const a = await opening;
    const origin = createOrigin();
    await eventually(async () => (await seenBy(a, origin.call))[0] === 'hit');
    origin.version = 2;
    await server.restart();
    const [, text] = await eventually(async () => { const seen = await seenBy(a, origin.call); return seen[0] === 'hit' && seen; });
    expect(text).toBe('v2 é');
    await closeRedis(other);
    await server.stop();
  });

  it('answers where Redis is full, and goes on purging', async () => {
    const server = await startRedisServer();
    const a = await open(server.url, { nearBytes: 0 });
    const origin = createOrigin();
    await a.get(origin.call);
    const redis = connectRedis(server.url, { role: 'request', name: 'filler' });
    await whenReady(redis);
    await redis.call('CONFIG', ['SET', 'maxmemory-policy', 'noeviction']);
    await redis.call('CONFIG', ['SET', 'maxmemory', '1']);
    expect(await seenBy(a, origin.call)).toEqual(['hit', 'v1 é']);
    origin.version = 2;
    await a.purge([origin.tag]);
    expect([(await seenBy(a, origin.call))[1], (await a.state()).isUsable]).toEqual(['v2 é', true]);
    await closeRedis(redis);
    await server.stop();
  });
});
