import type { LiveWriter } from './live-writer.ts';
import type { KnownInteraction } from './interaction.repository.ts';
import type { Written } from '@millrace/context';

interface Waiting {
  readonly events: readonly KnownInteraction[];
  readonly resolve: (written: readonly Written[]) => void;
  readonly reject: (error: unknown) => void;
}

/** Events of one write at most; what is more goes at the same time in writes of its own. */
const MOST = 200;

/** Events that come in one turn of the event loop are written together: one script for many requests. They fail together, too, which costs them nothing but the way over Postgres. */
export function collectWrites(live: LiveWriter): LiveWriter {
  let waiting: Waiting[] = [];
  let count = 0;
  const send = async (batch: readonly Waiting[]): Promise<void> => {
    try {
      const written = await live.write(batch.flatMap(({ events }) => events));
      let at = 0;
      for (const { events, resolve } of batch) {
        resolve(written.slice(at, at + events.length));
        at += events.length;
      }
    } catch (error) {
      for (const { reject } of batch) reject(error);
    }
  };
  const flush = (): void => {
    const batch = waiting;
    waiting = [];
    count = 0;
    void send(batch);
  };
  return {
    write(events) {
      if (count + events.length > MOST && count > 0) flush();
      if (count === 0) setImmediate(() => count > 0 && flush());
      count += events.length;
      return new Promise((resolve, reject) => void waiting.push({ events, resolve, reject }));
    },
  };
}
