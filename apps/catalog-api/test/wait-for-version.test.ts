import { describe, expect, it } from '@jest/globals';
import { searchQuery } from '@millrace/contracts';
import { createWaitForVersion } from '../src/wait-for-version.ts';

const seeing = (...versions: (number | Error)[]) => {
  const asked: string[] = [];
  return {
    asked,
    versionOf: async (sku: string) => {
      asked.push(sku);
      const version = versions.length > 1 ? versions.shift() : versions[0];
      if (version instanceof Error) throw version;
      return version === undefined ? undefined : { sku, version, deleted: false };
    },
  };
};

describe('waiting for a version', () => {
  it('is over as soon as searches see it, or a higher one', async () => {
    const search = seeing(3, 4, 7);
    expect(await createWaitForVersion(search, { maxMs: 60_000 })('MR-1:5')).toBe(true);
    expect(search.asked).toEqual(['MR-1', 'MR-1', 'MR-1']);
  });
  it('takes the version from behind the last colon', async () => {
    const search = seeing(5);
    expect(await createWaitForVersion(search)('urn:sku:7:5')).toBe(true);
    expect(search.asked).toEqual(['urn:sku:7']);
  });
  it('gives up after its time, also where the index is down', async () => {
    expect(await createWaitForVersion(seeing(4), { maxMs: 30 })('MR-1:5')).toBe(false);
    expect(await createWaitForVersion(seeing(new Error('down')), { maxMs: 30 })('MR-1:5')).toBe(false);
  });
  it('goes on after the index was down for a moment', async () => {
    expect(await createWaitForVersion(seeing(new Error('down'), 5), { maxMs: 60_000 })('MR-1:5')).toBe(true);
  });
  it('answers at once where as many wait as may, and again when they are through', async () => {
    const stored = { sku: 'MR-1', version: 4, deleted: false };
    const waitFor = createWaitForVersion({ versionOf: async () => ({ ...stored }) }, { maxMs: 60_000, maxWaiting: 2 });
    const waiting = [waitFor('MR-1:5'), waitFor('MR-1:5')];
    expect(await waitFor('MR-1:5')).toBe(false);
    expect(await waitFor('MR-1:4')).toBe(true);
    stored.version = 5;
    expect(await Promise.all(waiting)).toEqual([true, true]);
    stored.version = 6;
    expect(await waitFor('MR-1:6')).toBe(true);
  });
  it.each(['MR-1', 'MR-1:', ':5', 'MR-1:0', 'MR-1:five', 'MR-1:-3'])('is refused for %j', (wanted) => {
    expect(searchQuery.safeParse({ wait_for: wanted }).success).toBe(false);
  });
});
