import { describe, expect, it } from '@jest/globals';
import { createCountCache } from '../src/count-cache.ts';

describe('counts that were read a moment ago', () => {
  const open = (max = 10) => {
    let nowMs = 1_000;
    const asked: string[][] = [];
    const cache = createCountCache<number>({ max, ttlMs: 100, now: () => nowMs });
    const read = async (...names: string[]): Promise<(number | undefined)[]> => {
      const values = await cache.get(names, async (missing) => {
        asked.push([...missing]);
        return missing.map((name) => name.length);
      });
      return names.map((name) => values.get(name));
    };
    return { read, asked, pass: (ms: number) => void (nowMs += ms) };
  };
  it('are asked for once, until they are too old', async () => {
    const { read, asked, pass } = open();
    expect(await read('a', 'bb')).toEqual([1, 2]);
    expect(await read('bb', 'ccc', 'a')).toEqual([2, 3, 1]);
    expect(asked).toEqual([['a', 'bb'], ['ccc']]);
    pass(100);
    await read('a');
    expect(asked.at(-1)).toEqual(['a']);
  });
  it('are bounded, and forget nothing of what is being read', async () => {
    const { read } = open(3);
    expect(await read('a', 'bb', 'ccc', 'dddd')).toEqual([1, 2, 3, 4]);
    expect(await read('a', 'eeeee')).toEqual([1, 5]);
  });
  it('are none where the reading fails, and the next one tries again', async () => {
    const cache = createCountCache<number>({ max: 10, ttlMs: 100 });
    await expect(cache.get(['a'], () => Promise.reject(new Error('away')))).rejects.toThrow('away');
    expect((await cache.get(['a'], async () => [7])).get('a')).toBe(7);
  });
});
