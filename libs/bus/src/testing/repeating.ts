import { expect, it } from '@jest/globals';
import { eventually, uniqueName } from '@millrace/testing';
import { z } from 'zod';
import { defineTopic } from '../topic.ts';
import type { Open } from './bus-under-test.ts';
import { upTo } from './test-topic.ts';

/** Ids of events are remembered for `dedupMs`. */
export const createRepeatingTopic = (dedupMs: number) => defineTopic(uniqueName('dedup'), { tick: z.object({ n: z.int() }) }, { schemaVersion: 1, dedupMs, keyOf: ({ meta }) => meta.id });
export const tick = (n: number) => ({ type: 'tick' as const, n, meta: { id: `event ${n}` } });

/** Producers that publish again after an unclear answer. */
export function describeRepeating(open: Open, isDurable: boolean): void {
  it('delivers an event id once that is published again within dedupMs, by whomever and at the same time', async () => {
    const { bus } = await open();
    const other = isDurable ? (await open()).bus : bus;
    const topic = createRepeatingTopic(60_000);
    await bus.publish(topic, [tick(0), tick(1), tick(1)]);
    await other.publish(topic, [tick(1), tick(2)]);
    await Promise.all([bus, other, bus].map((one) => one.publish(topic, upTo(10).map(tick))));
    await bus.publish(topic, [tick(10)]);
    const seen: number[] = [];
    await bus.subscribe(topic, { group: 'g' }, async (events) => void seen.push(...events.map(({ n }) => n)));
    await eventually(() => seen.includes(10));
    expect(seen).toEqual(upTo(11));
  });

  it('delivers an event id again that is published again after dedupMs', async () => {
    const { bus } = await open();
    const topic = createRepeatingTopic(2_000);
    const seen: number[] = [];
    await bus.subscribe(topic, { group: 'g' }, async (events) => void seen.push(...events.map(({ n }) => n)));
    await eventually(async () => {
      if (seen.length === 2) return true;
      await bus.publish(topic, [tick(7)]);
      return false;
    }, { everyMs: 50 });
    expect(seen).toEqual([7, 7]);
  });
}
