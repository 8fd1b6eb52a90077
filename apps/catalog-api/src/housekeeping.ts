import { forgetHandledEvents } from '@millrace/outbox';
import { every } from '@millrace/service';
import type { Logger } from '@millrace/service';
import type { CatalogDb } from './database.ts';
import { purgeIdempotencyKeys } from './idempotency.repository.ts';
import { purgeTombstones } from './product.repository.ts';
import { purgeSearchCounts } from './search-count.repository.ts';

const EVERY_MS = 600_000;
/** A search that is delivered again counts once for so long. Redelivery takes minutes; there is a row for each search. */
const COUNTED_SEARCH_DAYS = 2;

/** Every ten minutes: old tombstones, old idempotency keys and old counts of searches go. Safe on several instances at once. Returns the function that stops it. */
export function startHousekeeping(db: CatalogDb, logger: Logger): () => void {
  return every(EVERY_MS, { what: 'old rows', logger }, async () => {
    const purged = await purgeTombstones(db);
    await purgeIdempotencyKeys(db);
    await purgeSearchCounts(db);
    await forgetHandledEvents(db, { schema: 'catalog', olderThanDays: COUNTED_SEARCH_DAYS });
    if (purged > 0) logger.info({ purged }, 'purged product tombstones');
  });
}
