import { randomUUID } from 'node:crypto';
import { describeError, isUnavailable } from '@millrace/bus';
import type { EventPublisher, NewEventOf } from '@millrace/bus';
import { searches } from '@millrace/contracts';
import { within } from '@millrace/service';
import type { Logger, Pseudonym } from '@millrace/service';
import { Counter } from 'prom-client';
import type { Registry } from 'prom-client';
import { maskQuery } from './mask-query.ts';

type LoggedSearch = NewEventOf<typeof searches>;

/** A search as it came in: nothing of it is kept before it was masked. */
export interface ExecutedSearch {
  readonly query: string;
  readonly filters: LoggedSearch['filters'];
  readonly hits: number;
  readonly ms: number;
  /** As the caller names the user. */
  readonly user: string | undefined;
  readonly degraded: boolean;
  readonly traceparent: string | undefined;
}

export interface SearchLog {
  /** Returns at once and never throws: an entry that cannot be kept is dropped and counted. */
  readonly record: (search: ExecutedSearch) => void;
  /** Publishes what it can within a second; the rest is dropped and counted. */
  readonly close: () => Promise<void>;
}

export interface SearchLogDeps {
  readonly bus: EventPublisher;
  /** Without one no entry has a user. */
  readonly pseudonym: Pseudonym | undefined;
  readonly logger: Logger;
  readonly metrics: Registry;
  readonly everyMs?: number;
  /** Entries that wait at most. */
  readonly capacity?: number;
}

const BATCH = 100;
/** A silent Redis must not hold up the end of the process. */
const CLOSE_MS = 1_000;

/** Publishes searches in batches, behind their answers. While Redis is away the oldest wait, up to `capacity`; newer ones are dropped. */
export function createSearchLog({ bus, pseudonym, logger, metrics, everyMs = 250, capacity = 2_000 }: SearchLogDeps): SearchLog {
  const dropped = new Counter({ name: 'search_log_dropped_total', help: 'Searches that are missing in the search log', labelNames: ['reason'], registers: [metrics] });
  const waiting: { readonly search: ExecutedSearch; readonly at: Date }[] = [];
  let isFailing = false;
  let running: Promise<void> | undefined;

  const toEvent = ({ search: { user, query, filters, traceparent, ...measured }, at }: (typeof waiting)[number]): LoggedSearch => ({
    type: 'executed', ...measured, query: maskQuery(query), filters: maskFilters(filters), user: user === undefined || !pseudonym ? null : pseudonym(user),
    meta: { id: randomUUID(), timestamp: at.toISOString(), ...(traceparent !== undefined && { traceparent }) },
  });
  // Made once: an entry that is published again keeps its id, under which it counts once.
  let batch: LoggedSearch[] = [];
  const publish = async (): Promise<void> => {
    for (;;) {
      if (batch.length === 0) batch = waiting.splice(0, BATCH).map(toEvent);
      if (batch.length === 0) return;
      try {
        await bus.publish(searches, batch);
        isFailing = false;
      } catch (error) {
        if (!isFailing) logger.warn({ error: describeError(error) }, 'the search log cannot be published');
        isFailing = true;
        if (isUnavailable(error)) return;
        dropped.inc({ reason: 'refused' }, batch.length);
      }
      batch = [];
    }
  };
  const flush = (): Promise<void> => (running ??= publish().finally(() => (running = undefined)));
  const timer = setInterval(() => void flush(), everyMs);
  return {
    record(search) {
      if (waiting.length >= capacity) dropped.inc({ reason: 'full' });
      else waiting.push({ search, at: new Date() });
    },
    async close() {
      clearInterval(timer);
      await within(CLOSE_MS, flush().then(flush), () => new Error(`the bus did not answer within ${CLOSE_MS} ms`)).catch((error: unknown) => logger.warn({ error: describeError(error) }, 'the search log cannot be published'));
      const left = batch.length + waiting.length;
      if (left > 0) dropped.inc({ reason: 'closed' }, left);
    },
  };
}

const maskFilters = (filters: LoggedSearch['filters']): LoggedSearch['filters'] => ({
  ...filters,
  ...(filters.category !== undefined && { category: maskQuery(filters.category) }),
  ...(filters.brand !== undefined && { brand: maskQuery(filters.brand) }),
});
