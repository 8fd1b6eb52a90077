import type { EventBus } from '@millrace/bus';
import { indexUpdates, relevanceUpdates } from '@millrace/contracts';
import { compileRelevance } from '@millrace/search';
import type { Logger } from '@millrace/service';
import type { Registry } from 'prom-client';
import type { CatalogDb } from './database.ts';
import { openLiveRelevance } from './live-relevance.ts';
import type { LiveRelevance } from './live-relevance.ts';
import { readRelevance, readRevision } from './relevance.repository.ts';

export interface OpenRelevanceDeps {
  readonly db: CatalogDb;
  readonly bus: EventBus;
  readonly pollMs: number;
  readonly logger: Logger;
  readonly metrics: Registry;
}

export interface SharedRelevance extends LiveRelevance {
  /** Tells the other instances of a change. Returns at once, never throws: they also ask Postgres. */
  readonly tellOthers: (revision: number) => void;
}

/**
 * Synonyms and rules of Postgres in this instance's memory: loaded again when another instance tells of a change, and by polling where the bus
 * does not. Caches of answers are told when a change is in force here. Needs neither Redis nor Postgres to open.
 */
export async function openRelevance({ db, bus, pollMs, logger, metrics }: OpenRelevanceDeps): Promise<SharedRelevance> {
  const live = await openLiveRelevance({
    readRevision: () => readRevision(db), readAll: (known) => readRelevance(db, known), compile: compileRelevance, pollMs, logger, metrics,
    onLoaded: (revision) => bus.publish(indexUpdates, [{ type: 'retuned', store: 'search', revision, all: true }]),
  });
  const subscription = await bus.subscribe(relevanceUpdates, { mode: 'broadcast', onGap: live.refresh }, live.refresh);
  const tellOthers = (revision: number): void => {
    bus.publish(relevanceUpdates, [{ type: 'changed', revision }]).catch((error: unknown) => logger.warn({ err: error, revision }, 'other instances could not be told of new rules: they will see by themselves'));
  };
  const close = async (): Promise<void> => {
    await subscription.close();
    await live.close();
  };
  return { ...live, tellOthers, close };
}
