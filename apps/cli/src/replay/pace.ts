import { setTimeout as delay } from 'node:timers/promises';
import type { Draft } from './layouts.ts';

export type Ready = Extract<Draft, { readonly event: unknown }>;

export interface PaceOptions {
  /** Times as fast as it happened; Infinity: as fast as it goes. */
  readonly speed: number;
  readonly batch: number;
  readonly signal: AbortSignal;
  readonly nowMs?: () => number;
  readonly wait?: (ms: number, signal: AbortSignal) => Promise<void>;
}

/** Events that wait to be brought into the order of their times. */
const SORTED = 50_000;
/** Events of so long go together. */
const TICK_MS = 50;

const abortableDelay = async (ms: number, signal: AbortSignal): Promise<void> => {
  await delay(ms, undefined, { signal }).catch((error: unknown) => {
    if (!signal.aborted) throw error;
  });
};

/** Oldest first, within the next 50,000: files are sorted by session or nearly by time. */
export async function* inOrder(events: AsyncIterable<Ready>, capacity = SORTED): AsyncGenerator<Ready> {
  let waiting: Ready[] = [];
  const sort = (): Ready[] => waiting.toSorted((a, b) => (a.atMs ?? 0) - (b.atMs ?? 0));
  for await (const event of events) {
    waiting.push(event);
    if (waiting.length < capacity) continue;
    const sorted = sort();
    yield* sorted.slice(0, capacity / 2);
    waiting = sorted.slice(capacity / 2);
  }
  yield* sort();
}

/** As fast as they are asked for. */
async function* inBatches(events: AsyncIterable<Ready>, { batch, signal }: PaceOptions): AsyncGenerator<readonly Ready[]> {
  let ready: Ready[] = [];
  for await (const event of events) {
    if (signal.aborted) return;
    ready.push(event);
    if (ready.length < batch) continue;
    yield ready;
    ready = [];
  }
  if (ready.length > 0 && !signal.aborted) yield ready;
}

/** Events in batches, when they are due: an hour of the file takes an hour / speed. What has no time is due with the one before. Ends when it is aborted. */
export async function* paced(events: AsyncIterable<Ready>, options: PaceOptions): AsyncGenerator<readonly Ready[]> {
  const { speed, batch, signal, nowMs = () => performance.now(), wait = abortableDelay } = options;
  if (speed === Infinity) {
    yield* inBatches(events, options);
    return;
  }
  const started = nowMs();
  let firstAt: number | undefined;
  let ready: Ready[] = [];
  for await (const event of inOrder(events)) {
    if (signal.aborted) return;
    firstAt ??= event.atMs;
    const dueInMs = event.atMs === undefined || firstAt === undefined ? 0 : (event.atMs - firstAt) / speed - (nowMs() - started);
    if (dueInMs > TICK_MS || ready.length >= batch) {
      if (ready.length > 0) yield ready;
      ready = [];
    }
    // Asked again: sending took its time, too.
    const restMs = event.atMs === undefined || firstAt === undefined ? 0 : (event.atMs - firstAt) / speed - (nowMs() - started);
    if (restMs > TICK_MS) await wait(restMs, signal);
    if (signal.aborted) return;
    ready.push(event);
  }
  if (ready.length > 0) yield ready;
}
