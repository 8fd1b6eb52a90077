import { describe, expect, it } from '@jest/globals';
import { eventually } from '@millrace/testing';
import { createLane } from '../src/index.ts';

const rows = (count: number): number[] => Array.from({ length: count }, (_, n) => n);

describe('the lane of a backfill', () => {
  it('takes large slices while nothing live comes, and every row once, in order', async () => {
    const lane = createLane({ idleRows: 10, busyRows: 2 });
    const slices: (readonly number[])[] = [];
    await lane.backfill(rows(25), async (slice) => void slices.push(slice));
    expect([slices.map(({ length }) => length), slices.flat()]).toEqual([[10, 10, 5], rows(25)]);
  });
  it('takes small ones for a while after live work', async () => {
    let now = 0;
    const lane = createLane({ idleRows: 10, busyRows: 2, quietMs: 100, nowMs: () => now });
    await lane.live(async () => undefined);
    const sizes: number[] = [];
    await lane.backfill(rows(16), async (slice) => {
      sizes.push(slice.length);
      if (sizes.length === 3) now = 200;
    });
    expect(sizes).toEqual([2, 2, 2, 10]);
  });
  it('waits while live work is in hand', async () => {
    const lane = createLane({ idleRows: 10, busyRows: 2, maxWaitMs: 60_000 });
    const { promise, resolve } = Promise.withResolvers<void>();
    const order: string[] = [];
    const live = lane.live(async () => {
      await promise;
      order.push('live');
    });
    const backfill = lane.backfill(rows(2), async () => void order.push('backfill'));
    resolve();
    await Promise.all([live, backfill]);
    expect(order).toEqual(['live', 'backfill']);
  });
  it('goes on in small slices under live work that never ends', async () => {
    const lane = createLane({ idleRows: 10, busyRows: 2, maxWaitMs: 5 });
    const { promise, resolve } = Promise.withResolvers<void>();
    const live = lane.live(async () => promise);
    let done = 0;
    const backfill = lane.backfill(rows(6), async (slice) => void (done += slice.length));
    await eventually(() => done === 6);
    resolve();
    await Promise.all([live, backfill]);
  });
});
