import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { sampleSubscribers } from '@millrace/sample-subscribers';
import { publishPointer, readPointer, underLoadLock } from '@millrace/subscribers';
import { eventually } from '@millrace/testing';
import { z } from 'zod';
import { startPlane } from './lookup-kit.ts';
import type { Instance, Plane } from './lookup-kit.ts';

const COUNT = 300;
const all = [...sampleSubscribers({ count: COUNT })];
const victim = all[4]?.isdn ?? '';
const ALL = ['ut360:read', 'ut360:write', 'pii:read', 'users:erase'];
const SECRET = { UT360_ERASURE_SECRET: 's'.repeat(32) };
const everybody = { field: 'bad_debt_risk', op: 'in', value: ['LOW', 'MEDIUM', 'HIGH'] };
const pageSchema = z.object({ data: z.array(z.object({ recommendation: z.unknown() })), page: z.object({ next: z.string().nullable() }) });
const countSchema = z.object({ last_count: z.object({ count: z.number() }) });

describe('what callers must not see', () => {
  let plane: Plane;
  let instance: Instance;
  beforeEach(async () => {
    plane = await startPlane();
    await plane.load({ count: COUNT });
    instance = await plane.startInstance(SECRET, ALL);
  });
  afterEach(() => plane.close());
  const preview = async (at: Instance): Promise<Record<string, unknown>> => (await at.call('POST', '/api/ut360/segments/preview', { query: everybody })).body;

  it('is an ISDN in the cursor of a list that Postgres answers, and no cursor can be made that asks for one', async () => {
    const reader = await plane.startInstance(SECRET);
    await plane.redis.kill();
    const seen: string[] = [];
    for (let cursor: string | null = '', pages = 0; cursor !== null; pages += 1) {
      const { body } = await reader.call('GET', `/api/ut360/clusters/3?limit=7${cursor === '' ? '' : `&cursor=${cursor}`}`);
      const { data, page } = pageSchema.parse(body);
      seen.push(...data.map(({ recommendation }) => JSON.stringify(recommendation)));
      const text = Buffer.from(page.next ?? '', 'base64url').toString();
      expect(all.filter(({ isdn }) => text.includes(isdn) || (page.next ?? '').includes(isdn))).toEqual([]);
      expect(pages).toBeLessThan(COUNT);
      cursor = page.next;
    }
    expect(seen.toSorted()).toEqual(all.filter(({ recommendation }) => recommendation['cluster_group'] === '3').map(({ recommendation }) => JSON.stringify(recommendation)).toSorted());
    for (const after of [victim, '4294967296,1', '0,65536', '1', '(0,1)']) {
      const forged = Buffer.from(JSON.stringify({ g: reader.pointer.current.redis, p: { after } })).toString('base64url');
      expect([after, (await reader.call('GET', `/api/ut360/clusters/3?limit=1&cursor=${forged}`)).status]).toEqual([after, 400]);
    }
  });

  it('is a subscriber in exports and counts who was erased while a load ran', async () => {
    const postgres = await plane.startInstance({ ...SECRET, UT360_SEGMENT_MEMORY_MB: '0' }, ALL);
    await eventually(async () => JSON.stringify(await preview(instance)).includes('memory'));
    const { body: created } = await instance.call('POST', '/api/ut360/segments', { name: 'all', query: everybody });
    const path = `/api/ut360/segments/${String(created['id'])}`;
    expect((await instance.call('GET', `${path}/export`)).text).toContain(victim);
    await underLoadLock(plane.stores.pool, async () => {
      expect((await instance.call('POST', '/api/ut360/erase', { isdns: [victim] })).body).toMatchObject({ state: 'open', waits_for: 'load' });
      await postgres.housekeeping.check();
      for (const at of [instance, postgres]) {
        const { text, headers } = await at.call('GET', `${path}/export`);
        expect([text.includes(victim), headers.get('x-row-count'), text.trimEnd().split('\n').length]).toEqual([false, String(COUNT - 1), COUNT]);
        expect(await preview(at)).toMatchObject({ count: COUNT - 1, total: COUNT - 1 });
      }
    });
    await instance.housekeeping.check();
    expect(await preview(instance)).toMatchObject({ count: COUNT - 1, total: COUNT - 1 });
  });

  it('is a subscriber who was erased in the number of a saved segment', async () => {
    const { body: created } = await instance.call('POST', '/api/ut360/segments', { name: 'all', query: everybody });
    const other = await plane.startInstance(SECRET, ALL);
    expect(countSchema.parse(created).last_count.count).toBe(COUNT);
    const numbers = async (): Promise<number[]> => (await Promise.all([instance, other].map((at) => at.call('GET', `/api/ut360/segments/${String(created['id'])}`)))).map(({ body }) => countSchema.parse(body).last_count.count);
    expect(await numbers()).toEqual([COUNT, COUNT]);
    expect((await instance.call('POST', '/api/ut360/erase', { isdns: [victim] })).body).toMatchObject({ state: 'done' });
    expect(await numbers()).toEqual([COUNT - 1, COUNT - 1]);
  });

  it('is nothing at all because Postgres hangs: lists that Redis has are answered', async () => {
    const { pool, redis, keys } = plane.stores;
    await pool.query('update ut360.pointer set version = version + 1');
    await publishPointer(redis, keys, await readPointer(pool));
    plane.postgresTunnel.swallow(true);
    try {
      const { body } = await instance.call('GET', '/api/ut360/services/DATA_ADVANCE/top?limit=5');
      expect(body).toMatchObject({ total: expect.any(Number), freshness: { profile: { source: 'redis' } } });
    } finally {
      // What was swallowed is never answered.
      plane.postgresTunnel.swallow(false);
      plane.postgresTunnel.drop(true);
      plane.postgresTunnel.drop(false);
    }
  });
});
