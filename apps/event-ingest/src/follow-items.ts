import { withMetrics, withTracing } from '@millrace/bus';
import type { EventSubscriber } from '@millrace/bus';
import { latestProductUpdates, productUpdates } from '@millrace/contracts';
import type { ProductUpdate } from '@millrace/contracts';
import { createExportReader, toProjected } from '@millrace/projection';
import { openIdentitySigner, untilDone } from '@millrace/service';
import type { ServiceContext } from '@millrace/service';
import type { Config } from './config.ts';
import type { EventsDb } from './database.ts';
import type { ItemCache } from './item-cache.ts';
import { keepItems } from './item.repository.ts';

const LABELS = { topic: productUpdates.name, group: 'event-ingest' };

/** Drafts, archived and deleted products are marked. */
const toChange = (event: ProductUpdate) => (event.type === 'delete' ? { sku: event.sku, version: event.version } : toProjected(event.product));

export interface FollowItemsDeps extends Pick<ServiceContext<Config>, 'config' | 'logger' | 'metrics'> {
  readonly bus: EventSubscriber;
  readonly db: EventsDb;
  readonly items: Pick<ItemCache, 'clear' | 'follow'>;
  readonly signal: AbortSignal;
}

/** The items projection: from catalog-api's export where the group is new, then from the stream; and the items in memory, on every instance. */
export async function followItems({ config, logger, metrics, bus, db, items, signal }: FollowItemsDeps): Promise<void> {
  await bus.subscribe(productUpdates, { mode: 'broadcast', onGap: async () => items.clear() }, items.follow);
  const readExport = createExportReader({ baseUrl: config.CATALOG_API_INTERNAL_URL, signer: await openIdentitySigner(config.INTERNAL_KEY_FILE), service: 'event-ingest' });
  const retry = { signal, onFailure: (err: unknown) => logger.warn({ err }, 'the first fill failed, it will be tried again') };
  const bootstrap = () => untilDone(() => readExport({ batchSize: 500, signal }, (changes) => keepItems(db, changes)), retry);
  await bus.subscribe(productUpdates, { group: LABELS.group, onGroupCreated: async () => void (await bootstrap()) },
    withTracing(LABELS)(withMetrics({ registry: metrics, ...LABELS })((events) => keepItems(db, latestProductUpdates(events).map(toChange)))));
}
