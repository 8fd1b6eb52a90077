import type { Logger } from '@millrace/service';
import type { CatalogDb } from './database.ts';
import { purgeIdempotencyKeys } from './idempotency.repository.ts';
import { purgeTombstones } from './product.repository.ts';

const EVERY_MS = 600_000;

/** Every ten minutes: old tombstones and old idempotency keys go. Safe on several instances at once. Returns the function that stops it. */
export function startHousekeeping(db: CatalogDb, logger: Logger): () => void {
  const run = async (): Promise<void> => {
    try {
      const purged = await purgeTombstones(db);
      await purgeIdempotencyKeys(db);
      if (purged > 0) logger.info({ purged }, 'purged product tombstones');
    } catch (error) {
      logger.warn({ err: error }, 'housekeeping failed, it will be tried again');
    }
  };
  const timer = setInterval(() => void run(), EVERY_MS);
  return () => clearInterval(timer);
}
