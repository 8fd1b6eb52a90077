import type { ReadExport } from '@millrace/projection';
import type { VectorAdmin } from '@millrace/vectors';
import { announceThenThrow } from './announce.ts';
import type { EventPublisher } from '@millrace/bus';
import type { Collections } from './collections.ts';
import { embedProducts } from './embed-products.ts';

export interface FillLiveDeps {
  readonly admin: Pick<VectorAdmin, 'liveCollection' | 'ping' | 'count'>;
  readonly collections: Pick<Collections, 'withLive'>;
  readonly readExport: ReadExport;
  readonly bus: EventPublisher;
  /** Looks for a rebuild that is due and works on it, unless another instance does. */
  readonly rebuild: () => Promise<void>;
}

const BATCH = 500;

/**
 * The bootstrap of a new or empty projection (I5): has the first collection built, or, where there is one, brings in what it lacks. Versions make
 * the overlap with the stream harmless. Undefined: not yet, there is no collection that can be opened.
 */
export async function fillLive({ admin, collections, readExport, bus, rebuild }: FillLiveDeps, signal: AbortSignal): Promise<true | undefined> {
  const canOpen = async (): Promise<boolean> => {
    const name = await admin.liveCollection();
    return name !== undefined && admin.count(name).then(() => true, () => false);
  };
  await admin.ping();
  if (!(await canOpen())) {
    await rebuild();
    return (await canOpen()) ? true : undefined;
  }
  await readExport({ batchSize: BATCH, signal }, async (changes) => {
    await collections.withLive(async (target) => announceThenThrow(bus, await embedProducts(target, changes)));
  });
  return true;
}
