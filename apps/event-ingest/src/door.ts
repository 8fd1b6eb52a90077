import { randomUUID } from 'node:crypto';
import { describeError, SinkUnavailableError } from '@millrace/bus';
import type { Written } from '@millrace/context';
import type { LoggedEvent, NewEvent } from '@millrace/contracts';
import { AppError } from '@millrace/service';
import type { Logger } from '@millrace/service';
import { Counter } from 'prom-client';
import type { Registry } from 'prom-client';
import type { ErasedUsers } from './erased-users.ts';
import type { KnownInteraction } from './interaction.repository.ts';
import type { ItemCache } from './item-cache.ts';
import type { LiveWriter } from './live-writer.ts';

export interface Accepted {
  readonly event_id: string;
  readonly context: LoggedEvent['context'];
  /** The user was erased: the event was not taken. */
  readonly isErased?: true;
}

export interface Door {
  /**
   * Takes the events: into the stream and the live context (and with `keep` into the log), else into Postgres for later. Answers in their order.
   * @throws AppError unavailable where neither takes them, or the log is asked for and does not; some may have been taken then, and the same event ids may be sent again
   */
  log(events: readonly NewEvent[], traceparent?: string): Promise<readonly Accepted[]>;
}

export interface DoorDeps {
  readonly live: LiveWriter;
  /** Into the log, and to be relayed, in one transaction. */
  readonly defer: (events: readonly KnownInteraction[]) => Promise<void>;
  /** Into the log, before the answer (EVENT_DURABILITY=always): repeating changes nothing. Undefined: the stream's writer does it. */
  readonly keep?: ((events: readonly KnownInteraction[]) => Promise<unknown>) | undefined;
  readonly items: Pick<ItemCache, 'find'>;
  readonly erased: Pick<ErasedUsers, 'has'>;
  readonly metrics: Registry;
  readonly logger: Logger;
}

/** Events of one write: bounds what one caller has on its way to Redis. */
const SLICE = 200;

function toInteraction(event: NewEvent, item: { readonly category: string | null; readonly brand: string | null } | undefined, meta: { readonly now: number; readonly traceparent: string | undefined }): KnownInteraction {
  const { user_id, asin, event_type, metadata, event_id, session_id, ranking_id, rating } = event;
  const timestamp = new Date(event.at ?? meta.now).toISOString();
  return {
    type: event_type, user_id, asin, month: timestamp.slice(0, 7), category: item?.category ?? null, brand: item?.brand ?? null, metadata,
    ...(session_id !== undefined && { session_id }), ...(ranking_id !== undefined && { ranking_id }), ...(rating !== undefined && { rating }),
    meta: { id: event_id ?? randomUUID(), timestamp, ...(meta.traceparent !== undefined && { traceparent: meta.traceparent }) },
  };
}

/** `duplicate` was live when it came first. */
const answerOf = (id: string, written: Written): Accepted => ({ event_id: id, context: contextOf(written), ...(written.outcome === 'erased' && { isErased: true }) });
const contextOf = ({ outcome }: Written): Accepted['context'] => (outcome === 'live' || outcome === 'duplicate' ? 'live' : 'deferred');

/** What is answered for an event of an erased user. */
export const ERASED = { code: 'gone', pointer: '/user_id', detail: 'this user was erased: nothing is taken for it any more' } as const;

export function createDoor({ live, defer, keep, items, erased, metrics, logger }: DoorDeps): Door {
  const accepted = new Counter({ name: 'events_accepted_total', help: 'Events by where they went: live, old, duplicate, broken, deferred; erased: nowhere', labelNames: ['outcome'], registers: [metrics] });
  const refused = new Counter({ name: 'events_refused_total', help: 'Events that neither Redis nor Postgres took', registers: [metrics] });
  let isFailing = false;

  const unavailable = (events: readonly KnownInteraction[], detail: string, cause: unknown): AppError => {
    refused.inc(events.length);
    return new AppError('unavailable', `${detail}: send them again, with the same event ids`, { cause, headers: { 'Retry-After': '1' } });
  };
  /** Undefined where Redis does not take them. */
  const writeLive = async (events: readonly KnownInteraction[]): Promise<readonly Written[] | undefined> => {
    try {
      const written = await live.write(events);
      if (isFailing) logger.info('Redis takes events again');
      isFailing = false;
      return written;
    } catch (error) {
      if (!isFailing) logger.warn({ error: describeError(error) }, 'Redis does not take events: they go to Postgres');
      isFailing = true;
      return undefined;
    }
  };
  const writeSlice = async (events: readonly KnownInteraction[]): Promise<readonly Accepted[]> => {
    const written = await writeLive(events);
    if (written === undefined) {
      await defer(events).catch((error: unknown) => { throw unavailable(events, 'events cannot be stored now', error); });
      return events.map(({ meta, user_id: userId }) => {
        const outcome = erased.has(userId) ? 'erased' : 'deferred';
        accepted.inc({ outcome });
        return { event_id: meta.id, context: 'deferred', ...(outcome === 'erased' && { isErased: true }) };
      });
    }
    await keep?.(events).catch((error: unknown) => {
      throw error instanceof SinkUnavailableError ? unavailable(events, 'events are on their way, and Postgres does not confirm them now', error) : error;
    });
    for (const { outcome } of written) accepted.inc({ outcome });
    return events.map(({ meta }, index) => answerOf(meta.id, written[index] ?? { outcome: 'broken', userId: '' }));
  };
  return {
    async log(given, traceparent) {
      const known = await items.find(given.map(({ asin }) => asin));
      const now = Date.now();
      const events = given.map((event) => toInteraction(event, known.get(event.asin), { now, traceparent }));
      const results: Accepted[] = [];
      for (let start = 0; start < events.length; start += SLICE) results.push(...(await writeSlice(events.slice(start, start + SLICE))));
      return results;
    },
  };
}
