import type { EventPublisher } from './bus.ts';
import { describeError, isUnavailable } from './errors.ts';
import type { BusLogger } from './metrics.ts';
import type { NewEventOf, Topic } from './topic.ts';

export interface BackgroundPublisherOptions<T extends Topic> {
  readonly bus: EventPublisher;
  readonly topic: T;
  /** Removes and answers at most so many events that wait. Their ids must be in them: what is published again keeps its own. */
  readonly take: (most: number) => readonly NewEventOf<T>[];
  /** Told of events that will not be published: refused for good, or left when it closes. */
  readonly onDropped: (reason: 'refused' | 'closed', events: readonly NewEventOf<T>[]) => void;
  readonly logger: Pick<BusLogger, 'warn'>;
  /** For the log: `the search log cannot be published`. */
  readonly failure: string;
  readonly everyMs?: number;
}

const BATCH = 100;
/** A silent Redis must not hold up the end of the process. */
const CLOSE_MS = 1_000;

/**
 * Publishes in batches what nobody waits for, some time after it happened. What fails because the bus is away is tried again, the same batch first; what is
 * refused is dropped. `close` publishes what it can within a second. Never rejects.
 */
export function publishInBackground<T extends Topic>({ bus, topic, take, onDropped, logger, failure, everyMs = 250 }: BackgroundPublisherOptions<T>): { close(): Promise<void> } {
  let batch: readonly NewEventOf<T>[] = [];
  let isFailing = false;
  let running: Promise<void> | undefined;
  const publish = async (): Promise<void> => {
    for (;;) {
      if (batch.length === 0) batch = take(BATCH);
      if (batch.length === 0) return;
      try {
        await bus.publish(topic, batch);
        isFailing = false;
      } catch (error) {
        if (!isFailing) logger.warn({ error: describeError(error) }, failure);
        isFailing = true;
        if (isUnavailable(error)) return;
        onDropped('refused', batch);
      }
      batch = [];
    }
  };
  const flush = (): Promise<void> => (running ??= publish().finally(() => (running = undefined)));
  const timer = setInterval(() => void flush(), everyMs);
  return {
    async close() {
      clearInterval(timer);
      const late = Promise.withResolvers<undefined>();
      const giveUp = setTimeout(() => {
        logger.warn({ error: `the bus did not answer within ${CLOSE_MS} ms` }, failure);
        late.resolve(undefined);
      }, CLOSE_MS);
      await Promise.race([flush().then(flush), late.promise]);
      clearTimeout(giveUp);
      const left = [...batch, ...take(Number.MAX_SAFE_INTEGER)];
      if (left.length > 0) onDropped('closed', left);
    },
  };
}
