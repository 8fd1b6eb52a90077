import { describe, expect, it } from '@jest/globals';
import { decodeLoggedSearch, encodeLoggedSearch } from '@millrace/contracts';
import { createLogger, createMetrics } from '@millrace/service';
import { eventually } from '@millrace/testing';
import { createCachedSearches } from '../src/cache/cached-searches.ts';

const logger = createLogger('test', 'silent');
const search = (word: string) => ({ query: `đèn ${word}`, filters: { currency: 'USD', sort: 'relevance' as const, in_stock: true }, hits: 1, degraded: false });
const logged = (word: string): string => encodeLoggedSearch(search(word));

describe('searches that the cache answered', () => {
  it('go through a header of ASCII as they are, and another form of it is not read', () => {
    expect(logged('😀 "\\')).toMatch(/^[\x20-\x7E]+$/);
    expect(decodeLoggedSearch(logged('😀 "\\'))).toEqual(search('😀 "\\'));
    for (const text of ['', '{', '[]', '{"query":1}']) expect(decodeLoggedSearch(text)).toBeUndefined();
  });
  it('are counted on while the bus is away, published once it is back, and dropped and counted over the capacity', async () => {
    const metrics = createMetrics('test');
    let isDown = true;
    const seen: unknown[] = [];
    const log = createCachedSearches({
      bus: { publish: async (_topic, events) => { if (isDown) throw Object.assign(new Error('gone'), { code: 'ECONNREFUSED' }); seen.push(...events); } }, logger, metrics, everyMs: 5, capacity: 3,
    });
    for (const word of ['a', 'a', 'b', 'b', 'b']) log.given(logged(word), 1);
    log.given('of another version', 1);
    log.given(logged('c'), 1);
    isDown = false;
    await eventually(() => seen.length === 2);
    expect(seen).toMatchObject([{ query: 'đèn a', times: 2, ms: 1 }, { query: 'đèn b', times: 3 }]);
    await log.close();
    expect((await metrics.getSingleMetric('search_log_dropped_total')?.get())?.values.map(({ labels, value }) => [labels['reason'], value])).toEqual([['full', 1], ['unknown', 1]]);
  });
});
