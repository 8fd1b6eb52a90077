import type { BatchHandler } from '../bus.ts';

/** For tests of idempotence: hands each batch over twice. */
export const duplicate =
  <E>(handle: BatchHandler<E>): BatchHandler<E> =>
  async (events, delivery) => {
    await handle(events, delivery);
    await handle(events, delivery);
  };

/** For tests of idempotence: hands each batch over in another order, by the given source of randomness. */
export const shuffle =
  (random: () => number = Math.random) =>
  <E>(handle: BatchHandler<E>): BatchHandler<E> =>
  async (events, delivery) =>
    handle(
      events
        .map((event) => ({ event, place: random() }))
        .toSorted((a, b) => a.place - b.place)
        .map(({ event }) => event),
      delivery,
    );

/** For tests of redelivery: rejects a share of the handlings, half of them before the effect and half after it. */
export const randomFail =
  (share: number, random: () => number = Math.random) =>
  <E>(handle: BatchHandler<E>): BatchHandler<E> =>
  async (events, delivery) => {
    const place = random();
    if (place < share / 2) throw new Error('random failure before the effect');
    await handle(events, delivery);
    if (place < share) throw new Error('random failure after the effect');
  };
