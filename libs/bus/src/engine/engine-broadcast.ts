import { backoffMs, pause } from '../backoff.ts';
import type { BatchHandler } from '../bus.ts';
import { decodeEntry } from '../codec.ts';
import type { AnyEvent } from '../codec.ts';
import { describeError } from '../errors.ts';
import type { BusLogger, BusMetrics } from '../metrics.ts';
import type { Started } from '../start-reading.ts';
import { startReading } from '../start-reading.ts';
import type { Topic } from '../topic.ts';
import type { NumberedEntry, TailLog } from './engine.ts';

export interface EngineBroadcastOptions {
  readonly topic: Topic;
  readonly log: TailLog;
  readonly handle: BatchHandler<AnyEvent>;
  readonly onGap: () => Promise<void>;
  readonly batchSize: number;
  readonly blockMs: number;
  readonly logger: BusLogger;
  readonly metrics: BusMetrics;
}

const CHECK_EVERY_MS = 1_000;

/**
 * Reads a topic from its tail with a cursor of its own. A gap is told of at the first connection, when numbers are missing (trimmed or erased unread), when
 * the broker is behind the cursor (it lost data, or is another one), and when the handler rejects.
 */
export const startEngineBroadcast = (options: EngineBroadcastOptions): Started => startReading(options.log, (stop, onFirstTry) => run(options, stop, onFirstTry));

async function run(options: EngineBroadcastOptions, stop: AbortSignal, onFirstTry: () => void): Promise<void> {
  const { log, topic, logger } = options;
  let cursor: number | undefined;
  let checkedAt = 0;
  for (let failures = 0; !stop.aborted; ) {
    try {
      if (cursor === undefined || log.takeReconnected() || Date.now() - checkedAt >= CHECK_EVERY_MS) {
        const tail = await log.tail();
        checkedAt = Date.now();
        if (cursor === undefined || tail < cursor) {
          cursor = tail;
          await reportGap(options, stop);
        }
        onFirstTry();
      }
      const entries = await log.read(cursor, options.batchSize, Math.max(1, Math.min(options.blockMs, CHECK_EVERY_MS)));
      const [first, last] = [entries[0], entries.at(-1)];
      if (first && last) {
        const isGap = first.number !== cursor + 1 || last.number - first.number !== entries.length - 1;
        cursor = last.number;
        if (isGap) await reportGap(options, stop);
        await handOver(options, entries, stop);
      }
      failures = 0;
    } catch (error) {
      onFirstTry();
      failures += 1;
      if (!stop.aborted && (failures === 1 || failures % 20 === 0)) logger.warn({ topic: topic.name, failures, error: describeError(error) }, 'bus is not available: trying again');
      await pause(backoffMs(failures), stop);
    }
  }
  onFirstTry();
}

/** At most once: a handler that rejects is not given the events again, its instance flushes what it derived from them. */
async function handOver(options: EngineBroadcastOptions, entries: readonly NumberedEntry[], stop: AbortSignal): Promise<void> {
  const { topic, logger, handle } = options;
  const events = entries.flatMap(({ entry }) => {
    const decoded = decodeEntry(topic, entry);
    if (decoded.kind === 'park') logger.warn({ topic: topic.name, streamId: entry.id, reason: decoded.reason }, 'entry cannot be read');
    return decoded.kind === 'event' ? [decoded.event] : [];
  });
  try {
    if (events.length > 0) await handle(events);
  } catch (error) {
    logger.warn({ topic: topic.name, events: events.length, error: describeError(error) }, 'broadcast handler rejected: reporting a gap');
    await reportGap(options, stop);
  }
}

/** Until it succeeds: events must not be handled on top of a state that should have been flushed. */
async function reportGap({ topic, onGap, logger, metrics }: EngineBroadcastOptions, stop: AbortSignal): Promise<void> {
  metrics.gap(topic.name);
  for (let attempt = 1; !stop.aborted; attempt += 1) {
    try {
      await onGap();
      return;
    } catch (error) {
      logger.warn({ topic: topic.name, attempt, error: describeError(error) }, 'gap handler rejected: trying again');
      await pause(backoffMs(attempt), stop);
    }
  }
}
