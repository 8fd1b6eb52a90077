import { describe, expect, it } from '@jest/globals';
import { searchQuery } from '@millrace/contracts';
import { waitForVersion } from '../src/wait-for-version.ts';

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
    expect(await waitForVersion(search, 'MR-1:5')).toBe(true);
    expect(search.asked).toEqual(['MR-1', 'MR-1', 'MR-1']);
  });
  it('takes the version from behind the last colon', async () => {
    const search = seeing(5);
    expect(await waitForVersion(search, 'urn:sku:7:5')).toBe(true);
    expect(search.asked).toEqual(['urn:sku:7']);
  });
  it('gives up after its time, also where the index is down', async () => {
    expect(await waitForVersion(seeing(4), 'MR-1:5', { maxMs: 30 })).toBe(false);
    expect(await waitForVersion(seeing(new Error('down')), 'MR-1:5', { maxMs: 30 })).toBe(false);
  });
  it('goes on after the index was down for a moment', async () => {
    expect(await waitForVersion(seeing(new Error('down'), 5), 'MR-1:5')).toBe(true);
  });
  it.each(['MR-1', 'MR-1:', ':5', 'MR-1:0', 'MR-1:five', 'MR-1:-3'])('is refused for %j', (wanted) => {
    expect(searchQuery.safeParse({ wait_for: wanted }).success).toBe(false);
  });
});
