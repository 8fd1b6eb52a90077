import type { ReadExport } from '@millrace/projection';
import type { VectorAdmin } from '@millrace/vectors';
import type { Logger } from '@millrace/service';
import { announce } from './announce.ts';
import type { EventPublisher } from '@millrace/bus';
import type { Collections } from './collections.ts';
import { embedProducts } from './embed-products.ts';

export interface FillLiveDeps {
  readonly admin: Pick<VectorAdmin, 'liveCollection' | 'ping'>;
  readonly logger: Pick<Logger, 'warn'>;
  readonly collections: Collections;
  readonly readExport: ReadExport;
  readonly bus: EventPublisher;
  /** Builds the first collection; undefined where another instance is at it. */
  readonly build: () => Promise<unknown>;
}

const BATCH = 500;

/**
 * The bootstrap of a new or empty projection (I5): builds the first collection, or, where there is one, brings in what it lacks. Versions make
 * the overlap with the stream harmless. Undefined: not yet, another instance is building.
 */
export async function fillLive({ admin, collections, readExport, bus, logger, build }: FillLiveDeps, signal: AbortSignal): Promise<true | undefined> {
  if (!(await canOpenLive({ admin, collections, logger }))) return (await build()) === undefined ? undefined : true;
  await readExport({ batchSize: BATCH, signal }, async (changes) => {
    for (const target of await collections.targets()) await announce(bus, (await embedProducts(target, changes)).filter((item) => !item.again));
  });
  return true;
}

/** False: there is none, or it cannot be opened (missing, damaged) although the store is there. Then a new one is built. */
async function canOpenLive({ admin, collections, logger }: Pick<FillLiveDeps, 'admin' | 'collections' | 'logger'>): Promise<boolean> {
  await admin.ping();
  const name = await admin.liveCollection();
  if (name === undefined) return false;
  try {
    return (await collections.targets()).length > 0;
  } catch (err) {
    logger.warn({ err, collection: name }, 'the live collection cannot be opened: building another one');
    return false;
  }
}
