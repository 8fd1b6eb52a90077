import { describeError } from '@millrace/bus';
import type { EventSubscriber, Subscription } from '@millrace/bus';
import { interactions, searches } from '@millrace/contracts';
import type { Logger } from '@millrace/service';
import type { Router } from 'express';
import { Gauge } from 'prom-client';
import type { Registry } from 'prom-client';
import { createLiveFeed } from './live-feed.ts';
import type { LiveFeedOptions } from './live-feed.ts';
import { liveRoutes } from './live.routes.ts';

export interface LiveDeps {
  readonly bus: EventSubscriber;
  readonly maxClients: number;
  /** The topics are read on for so long after the last client went: for one that comes back. */
  readonly lingerMs?: number;
  readonly feed?: LiveFeedOptions;
  readonly metrics: Registry;
  readonly logger: Logger;
}

export interface Live {
  readonly routes: Router;
  /** Ends all clients, then the reading. */
  close(): Promise<void>;
}

const LINGER_MS = 60_000;
const BATCH = 500;

/** The live feed: reads both topics by broadcast, and only while somebody looks. */
export function openLive({ bus, maxClients, lingerMs = LINGER_MS, feed: options, metrics, logger }: LiveDeps): Live {
  const feed = createLiveFeed(options);
  metrics.registerMetric(new Gauge({ name: 'live_clients', help: 'Clients of the live feed', registers: [], collect() { this.set(feed.clients); } }));
  let reading: Promise<readonly Subscription[]> | undefined;
  let lingering: NodeJS.Timeout | undefined;
  let isClosed = false;

  const broadcast = () => {
    let isFirst = true;
    return { mode: 'broadcast', batchSize: BATCH, onGap: async () => (isFirst ? void (isFirst = false) : feed.gap()) } as const;
  };
  const begin = (): void => {
    reading ??= Promise.all([
      bus.subscribe(interactions, broadcast(), async (events) => feed.show(events)),
      bus.subscribe(searches, broadcast(), async (events) => feed.show(events)),
    ]).catch((error: unknown) => {
      logger.warn({ error: describeError(error) }, 'the live feed cannot read the topics');
      reading = undefined;
      return [];
    });
  };
  const end = async (): Promise<void> => {
    const subscriptions = reading;
    reading = undefined;
    for (const subscription of (await subscriptions) ?? []) await subscription.close();
  };
  const onClients = (): void => {
    clearTimeout(lingering);
    if (isClosed) return;
    if (feed.clients > 0) begin();
    else lingering = setTimeout(() => void end().catch((error: unknown) => logger.warn({ error: describeError(error) }, 'the live feed could not stop reading')), lingerMs);
  };
  return {
    routes: liveRoutes({ feed, maxClients, onClients }),
    async close() {
      isClosed = true;
      clearTimeout(lingering);
      feed.close();
      await end();
    },
  };
}
