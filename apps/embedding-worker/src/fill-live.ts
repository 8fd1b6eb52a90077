import type { ReadExport } from '@millrace/projection';
import type { VectorAdmin } from '@millrace/vectors';
import { announce } from './announce.ts';
import type { EventPublisher } from '@millrace/bus';
import type { Collections } from './collections.ts';
import { embedProducts } from './embed-products.ts';

export interface FillLiveDeps {
  readonly admin: Pick<VectorAdmin, 'liveCollection'>;
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
export async function fillLive({ admin, collections, readExport, bus, build }: FillLiveDeps, signal: AbortSignal): Promise<true | undefined> {
  if ((await admin.liveCollection()) === undefined) return (await build()) === undefined ? undefined : true;
  await readExport({ batchSize: BATCH, signal }, async (changes) => {
    for (const target of await collections.targets()) await announce(bus, (await embedProducts(target, changes)).filter((item) => !item.again));
  });
  return true;
}
