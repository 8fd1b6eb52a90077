import { describe, expect, it } from '@jest/globals';
import { splitItems } from '../src/read-events.ts';

describe('a list of events', () => {
  it.each([
    ['lines', '1\n'.repeat(10_001)],
    ['items', `[${'{},'.repeat(10_000)}{}]`],
    ['values within one item', `[[${'{},'.repeat(1_000_000)}{}]]`],
    ['brackets', '['.repeat(2_000_001)],
  ])('with too many %s is refused before anything is built of it', (_what, text) => {
    const body = Buffer.from(text);
    const before = process.memoryUsage().heapUsed;
    expect(() => splitItems(body)).toThrow(expect.objectContaining({ code: 'body_too_large' }));
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(30_000_000);
  });
  it('may have 10,000 items, and any text in them', () => {
    expect(splitItems(Buffer.from(`[${Array.from({ length: 10_000 }, () => '{"a":"],\\"[{\\\\"}').join(',')}]`))).toHaveLength(10_000);
    expect(splitItems(Buffer.from(`\n${'{}\n \n'.repeat(10_000)}`))).toHaveLength(10_000);
  });
});
