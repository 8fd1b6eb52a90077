import { describe, expect, it } from '@jest/globals';
import { createLiveHealth } from '../src/index.ts';
import { createRate, etaSeconds } from '../src/rate.ts';

const fail = (errcode?: number) => async () => {
  throw Object.assign(new Error('cannot be opened', { cause: Object.assign(new Error('sqlite'), errcode === undefined ? {} : { errcode }) }));
};

describe('the health of a live store', () => {
  it('is lost where it cannot be opened twice in a row, not once', async () => {
    let look: () => Promise<unknown> = async () => undefined;
    const health = createLiveHealth({ look: () => look(), lookDeeper: async () => undefined });
    expect(await health.isLost('a')).toBe(false);
    look = fail();
    expect(await health.isLost('a')).toBe(false);
    look = async () => undefined;
    expect(await health.isLost('a')).toBe(false);
    look = fail();
    expect([await health.isLost('a'), await health.isLost('a')]).toEqual([false, true]);
  });
  it.each([11, 26, 11 + 256 * 3])("is lost at SQLite's first word that the file is damaged (%d), deep in a chain of causes too", async (code) => {
    expect(await createLiveHealth({ look: fail(code), lookDeeper: async () => undefined }).isLost('a')).toBe(true);
    const written = createLiveHealth({ look: async () => undefined, lookDeeper: async () => undefined });
    written.failed('a', new Error('unavailable', { cause: new Error('batch', { cause: Object.assign(new Error('malformed'), { errcode: code }) }) }));
    expect([await written.isLost('a'), await written.isLost('b')]).toEqual([true, false]);
  });
  it('is not lost because it is locked or the disk is full', async () => {
    const health = createLiveHealth({ look: async () => undefined, lookDeeper: async () => undefined });
    for (const errcode of [5, 13]) health.failed('a', Object.assign(new Error('busy'), { errcode }));
    expect(await health.isLost('a')).toBe(false);
  });
  it('is looked at more deeply now and then', async () => {
    let [now, deep] = [0, 0];
    const health = createLiveHealth({ look: async () => undefined, lookDeeper: async () => void (deep += 1), deepEveryMs: 1_000, nowMs: () => now });
    for (now = 0; now < 3_000; now += 250) await health.isLost('a');
    expect(deep).toBe(3);
  });
});

describe('progress', () => {
  it('is the rate of the last seconds, and the time that is left at that rate', () => {
    let now = 0;
    const rate = createRate(10_000, () => now);
    const rates = Array.from({ length: 20 }, (_, second) => {
      now = (second + 1) * 1_000;
      return rate.add(second < 10 ? 1_000 : 100);
    });
    expect([rates[4], rates[19]]).toEqual([1_000, 100]);
    expect(etaSeconds({ rows: 42_000, total: 100_000, rowsPerSecond: 9_400 })).toBe(7);
  });
  it.each([[{ rows: 1, total: null, rowsPerSecond: 5 }], [{ rows: 1, total: 10, rowsPerSecond: null }], [{ rows: 12, total: 10, rowsPerSecond: 5 }]])('has no time left to tell for %j', (job) => {
    expect(etaSeconds(job)).toBeNull();
  });
});
