import { createContextWriter } from '@millrace/context';
import type { NewInteraction } from '@millrace/contracts';
import { closeRedis, connectRedis, createKeys, infoField, whenReady } from '@millrace/redis-kit';
import { startRedisServer } from '@millrace/testing/redis-server';
import { row } from '../support/measure.ts';
import type { BenchRow } from '../support/measure.ts';

const USERS = 100_000;
const CHUNK = 1_000;
const MIB = 1_048_576;

const eventOf = (n: number, categories: number): NewInteraction => ({
  type: 'view', user_id: '1000000', asin: `MR-${String(n % 20).padStart(7, '0')}`, month: '2026-11', category: `Category ${n % categories}`, brand: null, metadata: {},
  meta: { id: `e${n}`, timestamp: new Date(Date.now() - 60_000 + n).toISOString() },
});

/** Redis' memory for 100,000 contexts of 20 items and so many categories: one is written by events, COPY gives the others the same encoding. */
async function measure(categories: number): Promise<number> {
  const server = await startRedisServer();
  const redis = connectRedis(server.url, { role: 'background', name: 'bench' });
  const keys = createKeys();
  await whenReady(redis);
  await createContextWriter({ redis, keys, ttlSeconds: 900 }).write(Array.from({ length: Math.max(20, categories) }, (_, n) => eventOf(n, categories)));
  const from = keys.user('1000000');
  const before = Number(await infoField(redis, 'used_memory'));
  for (let start = 1; start < USERS; start += CHUNK) {
    const pipeline = redis.pipeline();
    for (let user = 1_000_000 + start; user < 1_000_000 + Math.min(USERS, start + CHUNK); user += 1) {
      const to = keys.user(String(user));
      for (const name of ['recentItems', 'recentCategories', 'lastActive'] as const) pipeline.call('COPY', from[name], to[name]);
    }
    await pipeline.exec();
  }
  const used = Number(await infoField(redis, 'used_memory')) - before;
  await closeRedis(redis);
  await server.stop();
  return used / MIB;
}

export async function benchMemory(): Promise<BenchRow[]> {
  return [
    row('100,000 contexts of 20 items in 10 categories', await measure(10), { unit: 'MiB', atMost: 120 }),
    row('100,000 contexts of 20 items in 20 categories', await measure(20), { unit: 'MiB' }),
    row('100,000 contexts of 20 items in 50 categories', await measure(50), { unit: 'MiB' }),
  ];
}
