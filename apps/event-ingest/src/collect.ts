import type { Written } from '@millrace/context';
import type { KnownInteraction } from './interaction.repository.ts';
import type { LiveWriter } from './live-writer.ts';

interface Waiting {
  readonly events: readonly KnownInteraction[];
  readonly resolve: (written: readonly Written[]) => void;
  readonly reject: (error: unknown) => void;
}

/** Events that no longer wait for the write before them: one of the script's own chunks. */
const MOST = 50;

/**
 * Events of many requests in one script: those that come while a write is under way wait for it and go together, so a slow or busy Redis gets larger
 * writes instead of more. They fail together, too, which costs them nothing but the way over Postgres. An event waits for one write besides its own at most.
 */
export function collectWrites(live: LiveWriter): LiveWriter {
  let waiting: Waiting[] = [];
  let count = 0;
  let underWay = 0;
  let isPlanned = false;
  const send = async (batch: readonly Waiting[]): Promise<void> => {
    underWay += 1;
    try {
      const written = await live.write(batch.flatMap(({ events }) => events));
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
      const written = new Promise<readonly Written[]>((resolve, reject) => void waiting.push({ events, resolve, reject }));
      if (count >= MOST) flush();
      else plan();
      return written;
    },
  };
}
