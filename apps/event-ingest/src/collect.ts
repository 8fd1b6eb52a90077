import type { KnownInteraction } from './interaction.repository.ts';

/** Answers one result for each event, in their order; rejects as a whole. */
export interface BatchWriter<R> {
  write(events: readonly KnownInteraction[]): Promise<readonly R[]>;
}

interface Waiting<R> {
  readonly events: readonly KnownInteraction[];
  readonly resolve: (written: readonly R[]) => void;
  readonly reject: (error: unknown) => void;
}

/** Events that no longer wait for the write before them: one of the script's own chunks. */
const MOST = 50;

/**
 * Events of many requests in one write: those that come while one is under way wait for it and go together, so a slow or busy store gets larger
 * writes instead of more. They fail together, too. An event waits for one write besides its own at most.
 */
export function collectWrites<R>(store: BatchWriter<R>): BatchWriter<R> {
  let waiting: Waiting<R>[] = [];
  let count = 0;
  let underWay = 0;
  let isPlanned = false;
  const send = async (batch: readonly Waiting<R>[]): Promise<void> => {
    underWay += 1;
    try {
      const written = await store.write(batch.flatMap(({ events }) => events));
      let at = 0;
      for (const { events, resolve } of batch) {
        resolve(written.slice(at, at + events.length));
        at += events.length;
      }
    } catch (error) {
      for (const { reject } of batch) reject(error);
    } finally {
      underWay -= 1;
      plan();
    }
  };
  const flush = (): void => {
    const batch = waiting;
    waiting = [];
    count = 0;
    void send(batch);
  };
  /** Behind what has arrived in this turn of the event loop. */
  const plan = (): void => {
    if (isPlanned || underWay > 0 || count === 0) return;
    isPlanned = true;
    setImmediate(() => {
      isPlanned = false;
      if (underWay === 0 && count > 0) flush();
    });
  };
  return {
    write(events) {
      count += events.length;
      const written = new Promise<readonly R[]>((resolve, reject) => void waiting.push({ events, resolve, reject }));
      if (count >= MOST) flush();
      else plan();
      return written;
    },
  };
}
