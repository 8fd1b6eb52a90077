import type { BatchHandler } from '../bus.ts';

/** For tests of idempotence: hands each batch over twice. */
export const duplicate =
  <E>(handle: BatchHandler<E>): BatchHandler<E> =>
  async (events) => {
    await handle(events);
    await handle(events);
  };

/** For tests of idempotence: hands each batch over in another order, by the given source of randomness. */
export const shuffle =
  (random: () => number = Math.random) =>
  <E>(handle: BatchHandler<E>): BatchHandler<E> =>
  async (events) =>
    handle(
      events
        .map((event) => ({ event, place: random() }))
        .toSorted((a, b) => a.place - b.place)
        .map(({ event }) => event),
    );
