import { backoffMs, pause } from './backoff.ts';
import type { Ordering } from './bus.ts';
import { decodeEntry } from './codec.ts';
import type { RawEntry } from './codec.ts';
import type { ConsumerState } from './consumer.ts';
import { describeError, isFinal, isUnavailable, PartialFailureError, shownReason } from './errors.ts';
import type { Received } from './retries.ts';

/** Handles one batch of new entries (which are in hand), acknowledges what is done, and leaves the rest to the retries. */
export async function workBatch(state: ConsumerState, entries: readonly RawEntry[]): Promise<void> {
  const { inHand, options, retries } = state;
  try {
    const heartbeats: string[] = [];
    const received = await retries.admit(await receive(state, entries, heartbeats));
    if (received.length > 0) await handleAndSort(state, received);
    await state.acknowledge();
    for (const timestamp of heartbeats) options.onHeartbeat?.(timestamp);
  } finally {
    for (const { id } of entries) inHand.delete(id);
  }
}

/** Parks what cannot be read, and counts as handled what is no event of ours; heartbeats among it are added to `heartbeats`. */
async function receive(state: ConsumerState, entries: readonly RawEntry[], heartbeats: string[]): Promise<Received[]> {
  const { options, handled } = state;
  const { metrics, labels, topic } = options;
  const received: Received[] = [];
  for (const entry of entries) {
    const decoded = decodeEntry(topic, entry);
    if (decoded.kind === 'event') {
      received.push({ id: entry.id, key: options.ordering === 'key' ? topic.options.keyOf(decoded.event) : '', event: decoded.event });
    } else if (decoded.kind === 'park') {
      await state.park(entry.id, decoded.reason, 1);
    } else {
      handled.ids.push(entry.id);
      if (decoded.kind === 'heartbeat') {
        metrics.fresh(labels, decoded.timestamp);
        heartbeats.push(decoded.timestamp);
      }
      metrics.consumed(labels, decoded.kind === 'heartbeat' ? 'heartbeat' : 'skipped', 1);
    }
  }
  return received;
}

async function handleAndSort(state: ConsumerState, received: readonly Received[]): Promise<void> {
  const { options, handled, retries } = state;
  const outcome = await handleWhole(state, received);
  // Pending under this consumer's name, for its next start.
  if (outcome === 'stopped') return;
  if (outcome === 'rejected') return retries.add(received);
  const failed = outcome === 'done' ? new Map<string, unknown>() : withLaterOnes(outcome.failures, received, options.ordering);
  const done = received.filter(({ id }) => !failed.has(id));
  for (const { id } of done) handled.ids.push(id);
  options.metrics.consumed(options.labels, 'handled', done.length);
  const last = done.at(-1);
  if (last) options.metrics.fresh(options.labels, last.event.meta.timestamp);
  for (const one of received) if (failed.has(one.id)) await retries.addFailed([one], failed.get(one.id));
}

/** With an order, what follows a failed event of its key counts as failed too: it is handled again after that one. */
function withLaterOnes(failures: ReadonlyMap<string, unknown>, received: readonly Received[], ordering: Ordering): ReadonlyMap<string, unknown> {
  if (ordering === 'none') return failures;
  const errors = new Map<string, unknown>();
  const all = new Map(failures);
  for (const { id, key } of received) {
    if (failures.has(id) && !isFinal(failures.get(id))) errors.set(key, failures.get(id));
    else if (!failures.has(id) && errors.has(key)) all.set(id, errors.get(key));
  }
  return all;
}

/** One that names nothing of the batch says nothing about it: it is a rejection like any other. */
const namesSome = ({ failures }: PartialFailureError, received: readonly Received[]): boolean => {
  const ids = new Set(received.map(({ id }) => id));
  return failures.size > 0 && [...failures.keys()].every((id) => ids.has(id));
};

/** As a whole once more, unless that cannot help: then one by one, where each is judged by itself. */
async function handleWhole({ options, stop }: ConsumerState, received: readonly Received[]): Promise<'done' | 'rejected' | 'stopped' | PartialFailureError> {
  const events = received.map(({ event }) => event);
  for (let attempt = 1, rejections = 0; ; attempt += 1) {
    try {
      await options.handle(events, options.delivery);
      return 'done';
    } catch (error) {
      const isPartial = error instanceof PartialFailureError && namesSome(error, received);
      const unavailable = isPartial ? [...error.failures.values()].every(isUnavailable) : isUnavailable(error);
      if (!unavailable) rejections += 1;
      options.metrics.failed(options.labels, unavailable ? 'unavailable' : 'rejected');
      if (attempt === 1 || attempt % 20 === 0) {
        options.logger.warn({ ...options.labels, events: events.length, attempt, error: shownReason(options.topic, describeError(error)) }, unavailable ? 'sink is unavailable: waiting' : 'batch rejected');
      }
      if (isPartial) return error;
      if (rejections >= 2 || (rejections === 1 && (events.length === 1 || isFinal(error)))) return 'rejected';
      await pause(backoffMs(attempt, options.retryBaseMs), stop);
      if (stop.aborted) return 'stopped';
    }
  }
}
