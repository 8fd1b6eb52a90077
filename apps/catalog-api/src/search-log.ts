import { randomUUID } from 'node:crypto';
import { publishInBackground } from '@millrace/bus';
import type { EventPublisher, NewEventOf } from '@millrace/bus';
import { searches } from '@millrace/contracts';
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

/** What of a search is kept and shown: free of what names a person as far as a program can tell. */
export const maskSearch = ({ query, filters, hits, degraded }: Pick<ExecutedSearch, 'query' | 'filters' | 'hits' | 'degraded'>) => ({ query: maskQuery(query), filters: maskFilters(filters), hits, degraded });

/** Publishes searches in batches, behind their answers. While Redis is away the oldest wait, up to `capacity`; newer ones are dropped. */
export function createSearchLog({ bus, pseudonym, logger, metrics, everyMs = 250, capacity = 2_000 }: SearchLogDeps): SearchLog {
  const dropped = new Counter({ name: 'search_log_dropped_total', help: 'Searches that are missing in the search log', labelNames: ['reason'], registers: [metrics] });
  const waiting: { readonly search: ExecutedSearch; readonly at: Date }[] = [];
  const toEvent = ({ search: { user, ms, traceparent, ...search }, at }: (typeof waiting)[number]): LoggedSearch => ({
    type: 'executed', ...maskSearch(search), ms, user: user === undefined || !pseudonym ? null : pseudonym(user),
    meta: { id: randomUUID(), timestamp: at.toISOString(), ...(traceparent !== undefined && { traceparent }) },
  });
  const publisher = publishInBackground({
    bus, topic: searches, logger, everyMs, failure: 'the search log cannot be published', take: (most) => waiting.splice(0, most).map(toEvent),
    onDropped: (reason, events) => dropped.inc({ reason }, events.length),
  });
  return {
    record(search) {
      if (waiting.length >= capacity) dropped.inc({ reason: 'full' });
      else waiting.push({ search, at: new Date() });
    },
    close: () => publisher.close(),
  };
}

const maskFilters = (filters: LoggedSearch['filters']): LoggedSearch['filters'] => ({
  ...filters,
  ...(filters.category !== undefined && { category: maskQuery(filters.category) }),
  ...(filters.brand !== undefined && { brand: maskQuery(filters.brand) }),
});
