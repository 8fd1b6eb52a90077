import { describe, expect, it } from '@jest/globals';
import { createMemoryUsage } from '../src/index.ts';

const limits = { perMinute: 2, perDay: 3 };

describe('usage that one process counts', () => {
  it('lets so many calls in a minute and on a day, of each caller and tool', async () => {
    let nowMs = Date.parse('2026-11-22T23:58:30Z');
    const usage = createMemoryUsage(() => nowMs);
    const take = (caller = 'a', tool = 'x') => usage.take(caller, tool, limits);
    expect([await take(), await take(), await take()]).toEqual([{ isAdmitted: true }, { isAdmitted: true }, { isAdmitted: false, by: 'minute', retryAfterSeconds: 30 }]);
    expect([await take('b'), await take('a', 'y')]).toEqual([{ isAdmitted: true }, { isAdmitted: true }]);
    nowMs += 30_000;
    expect([await take(), await take()]).toEqual([{ isAdmitted: true }, { isAdmitted: false, by: 'day', retryAfterSeconds: 60 }]);
    nowMs += 60_000;
    expect(await take()).toEqual({ isAdmitted: true });
  });

  it('uses an id up once', async () => {
    const usage = createMemoryUsage();
    expect([await usage.useUp('a', 60), await usage.useUp('a', 60), await usage.useUp('b', 60)]).toEqual([true, false, true]);
  });
});
