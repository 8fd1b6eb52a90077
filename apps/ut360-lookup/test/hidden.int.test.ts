import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { sampleSubscribers } from '@millrace/sample-subscribers';
import { publishPointer, readPointer } from '@millrace/subscribers';
import { z } from 'zod';
import { startPlane } from './lookup-kit.ts';
import type { Instance, Plane } from './lookup-kit.ts';

const COUNT = 300;
const all = [...sampleSubscribers({ count: COUNT })];
const victim = all[4]?.isdn ?? '';
const ALL = ['ut360:read', 'ut360:write', 'pii:read', 'users:erase'];
const SECRET = { UT360_ERASURE_SECRET: 's'.repeat(32) };
const pageSchema = z.object({ data: z.array(z.object({ recommendation: z.unknown() })), page: z.object({ next: z.string().nullable() }) });

describe('what callers must not see', () => {
  let plane: Plane;
  let instance: Instance;
  jest.setTimeout(90_000);
  beforeEach(async () => {
    plane = await startPlane();
    await plane.load({ count: COUNT });
    instance = await plane.startInstance(SECRET, ALL);
  });
  afterEach(() => plane.close());

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

  it('is nothing at all because Postgres hangs: lists that Redis has are answered', async () => {
    const { pool, redis, keys } = plane.stores;
    await pool.query('update ut360.pointer set version = version + 1');
    await publishPointer(redis, keys, await readPointer(pool));
    plane.postgresTunnel.swallow(true);
    const answer = await Promise.race([instance.call('GET', '/api/ut360/services/DATA_ADVANCE/top?limit=5'), new Promise<undefined>((resolve) => { setTimeout(() => resolve(undefined), 4_000); })]);
    // What was swallowed is never answered.
    plane.postgresTunnel.swallow(false);
    plane.postgresTunnel.drop(true);
    plane.postgresTunnel.drop(false);
    expect(answer?.body).toMatchObject({ total: expect.any(Number), freshness: { profile: { source: 'redis' } } });
  });
});
