import { randomUUID } from 'node:crypto';
import { publishInBackground } from '@millrace/bus';
import type { EventPublisher, NewEventOf } from '@millrace/bus';
import { decodeLoggedSearch, searches } from '@millrace/contracts';
import type { Logger } from '@millrace/service';
import { Counter } from 'prom-client';
import type { Registry } from 'prom-client';

/** The searches that the cache answers, for the search log: their service does not hear of them. */
export interface CachedSearches {
  /** One more; `logged` is what the service said of it (LOGGED_SEARCH_HEADER). Costs a look into a map, never throws: what cannot be kept is dropped and counted. */
  readonly given: (logged: string, ms: number) => void;
  /** Publishes what it can within a second; the rest is dropped and counted. */
  readonly close: () => Promise<void>;
}

export interface CachedSearchesDeps {
  readonly bus: EventPublisher;
  readonly logger: Logger;
  readonly metrics: Registry;
  readonly everyMs?: number;
  /** Different searches that wait at most. */
  readonly capacity?: number;
}

interface Sum {
  times: number;
  ms: number;
  /** Of the first one. */
  readonly at: Date;
}

type Event = NewEventOf<typeof searches>;

/**
 * Counts the same searches of a moment together and publishes each as one event with `times`, so that the log costs as much as there are different
 * searches, however many there are. They are nobody's: a search for a user never comes from the cache. While Redis is away they go on being counted; beyond
 * `capacity` different ones are dropped and counted in search_log_dropped_total, as are those of the last moment before a crash, uncounted.
 */
export function createCachedSearches({ bus, logger, metrics, everyMs = 1_000, capacity = 2_000 }: CachedSearchesDeps): CachedSearches {
  const dropped = new Counter({ name: 'search_log_dropped_total', help: 'Searches that are missing in the search log', labelNames: ['reason'], registers: [metrics] });
  const waiting = new Map<string, Sum>();
  const toEvents = ([text, { times, ms, at }]: readonly [string, Sum]): Event[] => {
    const logged = decodeLoggedSearch(text);
    if (!logged) dropped.inc({ reason: 'unknown' }, times);
    return logged ? [{ type: 'executed', ...logged, ms: Math.round((ms / times) * 1_000) / 1_000, user: null, ...(times > 1 && { times }), meta: { id: randomUUID(), timestamp: at.toISOString() } }] : [];
  };
  const take = (most: number): Event[] => {
    const taken = [...waiting].slice(0, most);
    for (const [text] of taken) waiting.delete(text);
    const events = taken.flatMap(toEvents);
    // Nothing means that nothing waits.
    return events.length === 0 && waiting.size > 0 ? take(most) : events;
  };
  const publisher = publishInBackground({
    bus, topic: searches, logger, everyMs, failure: 'the search log cannot be published', take,
    onDropped: (reason, events) => dropped.inc({ reason }, events.reduce((sum, { times = 1 }) => sum + times, 0)),
  });
  return {
    given(logged, ms) {
      const sum = waiting.get(logged);
      if (sum) {
        sum.times += 1;
        sum.ms += ms;
      } else if (waiting.size >= capacity) dropped.inc({ reason: 'full' });
      else waiting.set(logged, { times: 1, ms, at: new Date() });
    },
    close: () => publisher.close(),
  };
}
