import { describe, expect, it } from '@jest/globals';
import { MAX_BATCH, createBatchSize } from '../src/batch-size.ts';

describe('the batch size', () => {
  it('grows to its bound while events are light and batches full', () => {
    const size = createBatchSize();
    for (let n = 0; n < 5; n += 1) size.weighed(size.limit(), size.limit() * 700);
    expect(size.limit()).toBe(MAX_BATCH);
  });
  it('follows the weight of the events, so that a batch stays near 8 MiB', () => {
    const size = createBatchSize();
    size.weighed(500, 500 * 200_000);
    expect(size.limit()).toBe(41);
    size.weighed(41, 41 * 1_000_000);
    expect(size.limit()).toBe(10);
    size.weighed(10, 10 * 700);
    expect(size.limit()).toBe(20);
  });
  it('begins small again once the backlog is gone: a heartbeat says nothing of the next events', () => {
    const size = createBatchSize();
    for (let n = 0; n < 5; n += 1) size.weighed(size.limit(), size.limit() * 700);
    size.weighed(1, 0);
    expect(size.limit()).toBe(500);
  });
  it('becomes smaller when Redis was too slow, never nothing', () => {
    const size = createBatchSize();
    for (let n = 0; n < 10; n += 1) size.tooSlow();
    expect(size.limit()).toBe(10);
  });
});
