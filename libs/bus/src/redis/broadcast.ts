import { asEntries, asFields, asList, asText, compareStreamIds } from '@millrace/redis-kit';
import type { Redis } from '@millrace/redis-kit';
import { backoffMs, pause } from '../backoff.ts';
import type { BatchHandler } from '../bus.ts';
import { decodeEntry } from '../codec.ts';
import type { AnyEvent, RawEntry } from '../codec.ts';
import { describeError } from '../errors.ts';
import type { BusLogger, BusMetrics } from '../metrics.ts';
import { startReading } from '../start-reading.ts';
import type { Topic } from '../topic.ts';
import type { BlockingReader } from './blocking-reader.ts';
import type { Started } from '../start-reading.ts';

export interface BroadcastDeps {
  readonly topic: Topic;
  readonly stream: string;
  readonly reader: BlockingReader;
  readonly control: Redis;
  readonly handle: BatchHandler<AnyEvent>;
  /** Resolves when the gap is handled, or the subscription ends. */
  readonly onGap: () => Promise<void>;
  readonly batchSize: number;
  readonly blockMs: number;
  readonly logger: BusLogger;
  readonly metrics: BusMetrics;
}

/** Where an instance stands: the id it has read to, and how many entries the stream had ever been given by then. */
interface Cursor {
  id: string;
  added: number;
}

const CHECK_EVERY_MS = 1_000;

/**
 * Reads a topic from its tail with a cursor of its own. A gap is told of at the first connection, when entries went that were not read
 * (trimmed), when Redis lost data (its last id is behind the cursor, or its count of entries does not fit), and when the handler rejects.
 */
export const startBroadcast = (deps: BroadcastDeps): Started => startReading(deps.reader, (stop, onFirstTry) => run(deps, stop, onFirstTry));

async function run(deps: BroadcastDeps, stop: AbortSignal, onFirstTry: () => void): Promise<void> {
  let cursor: Cursor | undefined;
  let checkedAt = 0;
  for (let failures = 0; !stop.aborted; ) {
    try {
      const isDue = deps.reader.takeReconnected() || Date.now() - checkedAt >= CHECK_EVERY_MS;
      if (!cursor || isDue) {
        const tail = await readTail(deps);
        checkedAt = Date.now();
        if (!cursor || hasGap(cursor, tail)) {
          cursor = { id: tail.id, added: tail.added };
          await reportGap(deps);
        }
        onFirstTry();
      }
      await readOn(deps, cursor);
      failures = 0;
    } catch (error) {
      onFirstTry();
      failures += 1;
      if (!stop.aborted && (failures === 1 || failures % 20 === 0)) deps.logger.warn({ topic: deps.topic.name, failures, error: describeError(error) }, 'bus is not available: trying again');
      await pause(backoffMs(failures), stop);
    }
  }
}

interface Tail extends Cursor {
  /** Entries after which the cursor sees everything: the first one that is still there, and how many there are. */
  readonly first: string | undefined;
  readonly length: number;
}

async function readTail({ control, stream }: BroadcastDeps): Promise<Tail> {
  if ((await control.exists(stream)) === 0) return { id: '0-0', added: 0, first: undefined, length: 0 };
  const info = asFields(await control.xinfo('STREAM', stream));
  const first = info.get('first-entry');
  return {
    id: asText(info.get('last-generated-id')),
    added: Number(info.get('entries-added')),
    first: first === null || first === undefined ? undefined : asText(asList(first)[0]),
    length: Number(info.get('length')),
  };
}

function hasGap(cursor: Cursor, tail: Tail): boolean {
  const ahead = tail.added - cursor.added;
  const position = compareStreamIds(tail.id, cursor.id);
  if (position < 0 || ahead < 0) return true;
  if (position === 0) return ahead !== 0;
  const isAllAhead = tail.first === undefined || compareStreamIds(tail.first, cursor.id) > 0;
  return isAllAhead && tail.length !== ahead;
}

/** At most once: a handler that rejects is not given the events again, its instance flushes what it derived from them. */
async function readOn(deps: BroadcastDeps, cursor: Cursor): Promise<void> {
  const blockMs = Math.max(1, Math.min(deps.blockMs, CHECK_EVERY_MS));
  const reply = await deps.reader.run((redis) => redis.xread('COUNT', deps.batchSize, 'BLOCK', blockMs, 'STREAMS', deps.stream, cursor.id));
  const entries = reply === null ? [] : asEntries(asList(asList(reply)[0])[1]);
  const last = entries.at(-1);
  if (!last) return;
  const events = toEvents(deps, entries);
  cursor.id = last.id;
  cursor.added += entries.length;
  try {
    if (events.length > 0) await deps.handle(events);
  } catch (error) {
    deps.logger.warn({ topic: deps.topic.name, events: events.length, error: describeError(error) }, 'broadcast handler rejected: reporting a gap');
    await reportGap(deps);
  }
}

function toEvents({ topic, logger }: BroadcastDeps, entries: readonly RawEntry[]): AnyEvent[] {
  return entries.flatMap((entry) => {
    const decoded = decodeEntry(topic, entry);
    if (decoded.kind === 'park') logger.warn({ topic: topic.name, streamId: entry.id, reason: decoded.reason }, 'entry cannot be read');
    return decoded.kind === 'event' ? [decoded.event] : [];
  });
}

async function reportGap({ topic, onGap, metrics }: BroadcastDeps): Promise<void> {
  metrics.gap(topic.name);
  await onGap();
}
