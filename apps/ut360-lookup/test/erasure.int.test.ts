import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { subscriberErasureSchema } from '@millrace/contracts';
import { closeRedis, connectRedis } from '@millrace/redis-kit';
import { sampleSubscribers } from '@millrace/sample-subscribers';
import { eraseSubscribers, parseIsdn, readPointer, readSubscribers } from '@millrace/subscribers';
import { eventually, findEverywhere } from '@millrace/testing';
import { rebuildIndex } from '../src/rebuild-index.ts';
import { fill } from '../src/redis-subscribers.ts';
import { startPlane } from './lookup-kit.ts';
import type { Instance, Plane } from './lookup-kit.ts';

const COUNT = 60;
const all = [...sampleSubscribers({ count: COUNT })];
const phone = all.find(({ isdn }) => /^84\d{9}$/.test(isdn))?.isdn ?? '';
const token = all.find(({ isdn }) => isdn.includes('/'))?.isdn ?? all.find(({ isdn }) => !/^84\d{9}$/.test(isdn))?.isdn ?? '';
const bystander = all.find(({ isdn }) => isdn !== phone && isdn !== token)?.isdn ?? '';
const spellings = [phone, `+${phone}`, `0${phone.slice(2)}`, `0${phone.slice(2, 5)} ${phone.slice(5)}`];
const needles = [phone.slice(2), `${phone.slice(2, 5)} ${phone.slice(5)}`, token, encodeURIComponent(token)];
const SECRET = { UT360_ERASURE_SECRET: 's'.repeat(32) };
const service = String(all.find(({ isdn }) => isdn === phone)?.recommendation['service_type']);

describe('a subscriber who was erased', () => {
  let plane: Plane;
  let instance: Instance;
  let other: Instance;
  beforeEach(async () => {
    plane = await startPlane();
    await plane.load({ count: COUNT });
    [instance, other] = await Promise.all([plane.startInstance(SECRET, ['ut360:read', 'pii:read', 'users:erase']), plane.startInstance(SECRET)]);
  });
  afterEach(() => plane.close());
  const get = (at: Instance, isdn: string, block = 'subscribers'): ReturnType<Instance['call']> => at.call('GET', `/api/ut360/${block}/${encodeURIComponent(isdn)}`);
  const total = async (): Promise<unknown> => (await other.call('GET', `/api/ut360/services/${service}/top?limit=${COUNT}`)).body['total'];
  const found = async (): Promise<readonly string[]> => (await Promise.all(needles.map((needle) => findEverywhere(plane.stores.pool, plane.stores.redis, needle)))).flat();

  it('is answered 404 by every route and instance at once, in every spelling, and is in no store, log or metric', async () => {
    expect((await found()).length).toBeGreaterThan(5);
    for (const isdn of [...spellings, token]) for (const block of ['subscribers', 'recommendations', 'profiles', 'arpu']) expect((await get(other, isdn, block)).status).toBe(200);
    // What asks wrongly, or for nothing, has it too.
    await get(other, `${phone} x`);
    await other.call('GET', `/api/ut360/nothing/${phone}`);
    await other.call('POST', '/api/ut360/lookup', { isdns: phone });
    await instance.call('GET', `/api/ut360/subscribers/${phone}?unmask=true`);
    const before = await total();
    const { status, body } = await instance.call('POST', '/api/ut360/erase', { isdns: [spellings[2], phone, token] });
    expect([status, subscriberErasureSchema.parse(body)]).toEqual([200, { subscribers: 2, recorded: 2, state: 'done', waits_for: null, rows: { recommendations: 2, subscriber_360_profiles: 2, subscriber_monthly_arpu: expect.any(Number) } }]);
    for (const at of [other, instance]) for (const isdn of [...spellings, token]) for (const block of ['subscribers', 'recommendations', 'profiles', 'arpu']) expect((await get(at, isdn, block)).status).toBe(404);
    expect((await other.call('POST', '/api/ut360/lookup', { isdns: [token, bystander, ...spellings] })).body).toMatchObject({ data: [{ index: 1 }], missing: [{ index: 0 }, { index: 2 }, { index: 3 }, { index: 4 }, { index: 5 }] });
    expect(await total()).toBe(Number(before) - all.filter(({ isdn, recommendation }) => [phone, token].includes(isdn) && recommendation['service_type'] === service).length);
    const listed = await instance.call('GET', `/api/ut360/services/${service}/top?limit=${COUNT}&unmask=true`);
    expect([listed.text.includes(phone), listed.body['freshness']]).toEqual([false, expect.objectContaining({ profile: expect.objectContaining({ source: 'redis' }) })]);
    expect(await found()).toEqual([]);
    const written = [...instance.logs, ...other.logs, await instance.metricsText(), await other.metricsText()].join('\n');
    expect(needles.filter((needle) => written.includes(needle))).toEqual([]);
  });

  it('does not come back by a fill or an index that was begun before', async () => {
    const { pool, redis, keys } = plane.stores;
    const before = await readPointer(pool);
    const [read] = await readSubscribers(pool, before, [phone]);
    await instance.call('POST', '/api/ut360/erase', { isdns: [phone] });
    expect(await fill(redis, keys, before, read ?? { isdn: phone, body: '', profile: [] })).toBe(false);
    expect(await rebuildIndex({ redis, keys, pool, isErased: () => false }, before, { kind: 'service', value: service })).toBe(0);
    // Which is seen by the next reader, and mended.
    expect(await total()).toBe(all.filter(({ isdn, recommendation }) => isdn !== phone && recommendation['service_type'] === service).length);
    await eventually(async () => (await redis.zcard(keys.subscribers(1).service(service))) === (await total()));
    expect(await findEverywhere(pool, redis, phone.slice(2))).toEqual([]);
  });

  it('is answered 404 although Redis was away then and has everything still, and Redis is cleared when it is back', async () => {
    const { redis, pool, keys } = plane.stores;
    const asked = connectRedis(plane.redis.url, { role: 'request', name: 'test' });
    await eventually(async () => (await asked.ping().catch(() => '')) === 'PONG');
    plane.redis.pause();
    const report = await eraseSubscribers({ pool, redis: asked, keys, erasureSecret: SECRET.UT360_ERASURE_SECRET }, [parseIsdn(phone) ?? ''], { waitMs: 0 });
    await closeRedis(asked);
    expect(report).toMatchObject({ state: 'open', waits_for: 'redis', rows: { recommendations: 1 } });
    expect((await get(other, phone)).status).toBe(404);
    plane.redis.resume();
    expect(await redis.exists(keys.subscribers(1).body(phone))).toBe(1);
    for (let times = 0; times < 20; times += 1) expect((await get(other, phone)).status).toBe(404);
    await eventually(async () => {
      await other.housekeeping.check();
      return (await redis.exists(keys.subscribers(1).body(phone))) === 0;
    });
    await eventually(async () => (await pool.query('select 1 from ut360.erased where sealed is not null')).rowCount === 0 && (await findEverywhere(pool, redis, phone.slice(2))).length === 0);
  });

  it('cannot be told by an instance without the secret: that one does not start, and erases nobody', async () => {
    const keyless = await plane.startInstance({}, ['ut360:read', 'users:erase']);
    expect((await keyless.call('POST', '/api/ut360/erase', { isdns: [phone] })).body).toMatchObject({ code: 'not_implemented' });
    expect((await instance.call('POST', '/api/ut360/erase', { isdns: [phone, 'x', token] })).body).toMatchObject({ code: 'invalid_request', errors: [{ pointer: '/isdns/1' }] });
    expect((await get(other, phone)).status).toBe(200);
    await instance.call('POST', '/api/ut360/erase', { isdns: [phone] });
    await expect(plane.startInstance()).rejects.toThrow('UT360_ERASURE_SECRET');
    await expect(plane.load({ count: 1 })).rejects.toThrow('UT360_ERASURE_SECRET');
    // Who was there before and does not know him goes on, by what the stores have.
    expect((await get(keyless, phone)).status).toBe(404);
  });
});
