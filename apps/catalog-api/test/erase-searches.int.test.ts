import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createRedisStreamsBus } from '@millrace/bus';
import type { RedisStreamsBus } from '@millrace/bus';
import { erasureReceipts, searches } from '@millrace/contracts';
import type { ErasureReceipt } from '@millrace/contracts';
import { closeRedis, connectRedis } from '@millrace/redis-kit';
import type { Redis } from '@millrace/redis-kit';
import { createPseudonym } from '@millrace/service';
import { eventually, startRedisServer } from '@millrace/testing';
import type { RedisServer } from '@millrace/testing';
import { eraseSearches } from '../src/erase-searches.ts';

const pseudonym = createPseudonym('p'.repeat(32));
const searched = (user: string | null) => ({ type: 'executed' as const, query: 'q', filters: { currency: 'USD', sort: 'relevance' as const }, hits: 1, ms: 1, user, degraded: false });
const request = (users: string[], attempt = 1) => ({ type: 'erase' as const, job: 'j', attempt, users, meta: { id: 'e', timestamp: '', schema: 1 } });

describe('erasing a user from the search log', () => {
  let server: RedisServer;
  let redis: Redis;
  let bus: RedisStreamsBus;
  const receipts: ErasureReceipt[] = [];
  beforeAll(async () => {
    server = await startRedisServer();
    redis = connectRedis(server.url, { role: 'background', name: 'test' });
    bus = createRedisStreamsBus({ connect: (role) => connectRedis(server.url, { role, name: 'test' }), blockMs: 50 });
    await bus.subscribe(erasureReceipts, { group: 'test' }, async (events) => void receipts.push(...events));
  });
  afterAll(async () => {
    await bus.close();
    await closeRedis(redis);
    await server.stop();
  });

  it('removes what every group has read, says what is still due, and finds it by no other secret', async () => {
    const mine = pseudonym('123');
    await bus.publish(searches, [searched(mine), searched(pseudonym('124')), searched(null)]);
    await redis.xadd(`${searches.name}:dlq:search-counts`, '*', 'reason', 'r', 'event_type', 'executed', 'user', mine);
    await redis.xgroup('CREATE', searches.name, 'search-counts', '0');
    const answer = async (attempt: number) => eventually(async () => receipts.find((receipt) => receipt.attempt === attempt)?.stores);
    await eraseSearches({ bus, pseudonym: createPseudonym('x'.repeat(32)) })([request(['123'])]);
    expect(await answer(1)).toEqual([{ store: 'searches', found: 0, erased: 0, due: 0 }]);
    const erase = eraseSearches({ bus, pseudonym });
    await erase([request(['anon:1', '123'], 2)]);
    expect(await answer(2)).toEqual([{ store: 'searches', found: 2, erased: 1, due: 1 }]);
    const read = await redis.xreadgroup('GROUP', 'search-counts', 'c', 'COUNT', 10, 'STREAMS', searches.name, '>');
    expect(JSON.stringify(read)).toContain(mine);
    await erase([request(['123'], 3)]);
    expect(await answer(3)).toEqual([{ store: 'searches', found: 1, erased: 0, due: 1 }]);
    const [first] = await redis.xrange(searches.name, '-', '+');
    await redis.xack(searches.name, 'search-counts', first?.[0] ?? '');
    await erase([request(['123'], 4)]);
    expect(await answer(4)).toEqual([{ store: 'searches', found: 1, erased: 1, due: 0 }]);
    expect(await redis.xlen(searches.name)).toBe(2);
    expect(await redis.xlen(`${searches.name}:dlq:search-counts`)).toBe(0);
  });
});
