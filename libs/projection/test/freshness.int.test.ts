import { afterAll, describe, expect, it } from '@jest/globals';
import { closeRedis, connectRedis, createKeys } from '@millrace/redis-kit';
import { createMetrics } from '@millrace/service';
import { eventually, testServer, uniqueName } from '@millrace/testing';
import { createFreshnessReader, indexLagMs, startFreshnessReporter } from '../src/index.ts';

const redis = connectRedis(testServer('redis'), { role: 'background', name: 'test' });
afterAll(() => closeRedis(redis));
const now = 1_800_000_000_000;
const ownKeys = () => {
  const key = uniqueName('freshness');
  return { ...createKeys(), freshness: () => key };
};

describe('how far the index is behind', () => {
  it.each([
    ['the last measured way while all is well', { at: now - 500, through: now - 9_000, delayMs: 14, backlogAgeMs: 0 }, 14],
    ['the age of what waits, grown since it was told', { at: now - 500, through: now - 4_000, delayMs: 14, backlogAgeMs: 3_000 }, 3_500],
    ['the time since all was known to be there, where heartbeats are overdue', { at: now - 500, through: now - 16_000, delayMs: 14, backlogAgeMs: 0 }, 16_000],
    ['the same, where the sink is silent', { at: now - 4_000, through: now - 6_000, delayMs: 14, backlogAgeMs: 0 }, 6_000],
    ['nothing below 0, whatever the clocks say', { at: now + 5_000, through: now + 5_000, delayMs: 0, backlogAgeMs: 0 }, 0],
  ])('is %s', (_what, report, expected) => {
    expect(indexLagMs(report, now)).toBe(expected);
  });
});

describe('freshness', () => {
  it('is null until the sink has said something, then follows what it says', async () => {
    const keys = ownKeys();
    const lagMs = createFreshnessReader({ redis, keys, store: 'search' });
    expect(lagMs()).toBeNull();
    let oldestAgeMs = 0;
    const reporter = startFreshnessReporter({ redis, keys, store: 'search', lag: async () => ({ oldestAgeMs }), metrics: createMetrics('test'), logger: { warn: () => undefined }, everyMs: 10 });
    reporter.visible([new Date(Date.now() - 40).toISOString()]);
    await eventually(() => (lagMs() ?? 0) >= 40 && (lagMs() ?? 0) < 3_000);
    oldestAgeMs = 60_000;
    await eventually(() => (lagMs() ?? 0) >= 60_000);
    await reporter.stop();
    await redis.unlink(keys.freshness());
  });

  it('is what the instance says that saw the newest, where another one has nothing to do any more', async () => {
    const keys = ownKeys();
    const begin = () => startFreshnessReporter({ redis, keys, store: 'search', lag: async () => ({ oldestAgeMs: 0 }), metrics: createMetrics('test'), logger: { warn: () => undefined }, everyMs: 5 });
    const [busy, idle] = [begin(), begin()];
    const [newest, old] = [Date.now() - 1_000, Date.now() - 3_600_000];
    busy.visible([new Date(newest).toISOString()]);
    await eventually(async () => Number(await redis.hget(keys.freshness(), 'through')) === newest);
    await busy.stop();
    const since = Date.now();
    idle.visible([new Date(old).toISOString()]);
    await eventually(async () => Number(await redis.hget(keys.freshness(), 'at')) > since);
    expect(Number(await redis.hget(keys.freshness(), 'through'))).toBe(newest);
    await idle.stop();
    await redis.unlink(keys.freshness());
  });

  it('measures p50 and p99 from commit to visible, and ignores times that are none', async () => {
    const metrics = createMetrics('test');
    const reporter = startFreshnessReporter({ redis, keys: ownKeys(), store: 'vectors', lag: async () => ({ oldestAgeMs: 0 }), metrics, logger: { warn: () => undefined } });
    reporter.visible([...Array.from({ length: 99 }, () => new Date(Date.now() - 100).toISOString()), new Date(Date.now() - 5_000).toISOString(), 'yesterday']);
    await reporter.stop();
    const shown = await metrics.getSingleMetricAsString('sync_freshness_seconds');
    const value = (quantile: string): number => Number(new RegExp(`quantile="${quantile}"[^}]*} ([\\d.]+)`).exec(shown)?.[1]);
    expect(value('0.5')).toBeGreaterThanOrEqual(0.1);
    expect(value('0.5')).toBeLessThan(1);
    expect(value('0.99')).toBeGreaterThan(1);
    expect(shown).toMatch(/sync_freshness_seconds_count\{[^}]*\} 100/);
  });

  it('grows while Redis cannot be asked, and the sink warns once', async () => {
    const keys = ownKeys();
    let isDown = false;
    const flaky = Object.create(redis) as typeof redis;
    flaky.hgetall = async (key: unknown) => (isDown ? Promise.reject(new Error('down')) : redis.hgetall(String(key)));
    await redis.hset(keys.freshness(), { at: Date.now(), through: Date.now() - 20_000, delayMs: 1, backlogAgeMs: 0 });
    const lagMs = createFreshnessReader({ redis: flaky, keys, store: 'search' });
    const before = await eventually(() => lagMs() ?? undefined);
    isDown = true;
    await eventually(() => (lagMs() ?? 0) > before);
    await redis.unlink(keys.freshness());
    const warnings: string[] = [];
    const reporter = startFreshnessReporter({ redis, keys, store: 'search', lag: async () => Promise.reject(new Error('down')), metrics: createMetrics('test'), logger: { warn: (_fields: object, message?: string) => void warnings.push(message ?? '') }, everyMs: 5 });
    reporter.visible([new Date().toISOString()]);
    await eventually(() => warnings.length > 0);
    await reporter.stop();
    expect(warnings).toEqual(['the freshness of the store cannot be told']);
  });
});
