import type { ReadExport } from '@millrace/projection';
import type { VectorAdmin } from '@millrace/vectors';
import { announce } from './announce.ts';
import type { EventPublisher } from '@millrace/bus';
import type { Logger } from '@millrace/service';
import type { Collections } from './collections.ts';
import { embedProducts } from './embed-products.ts';

export interface FillLiveDeps {
  readonly admin: Pick<VectorAdmin, 'liveCollection' | 'ping' | 'count'>;
  readonly collections: Pick<Collections, 'withLive'>;
  readonly readExport: ReadExport;
  readonly bus: EventPublisher;
  /** Looks for a rebuild that is due and works on it, unless another instance does. */
  readonly rebuild: () => Promise<void>;
  readonly logger: Pick<Logger, 'warn'>;
}

const BATCH = 500;

/**
 * The bootstrap of a new or empty projection (I5): has the first collection built, or, where there is one, brings in what it lacks. Versions make
 * the overlap with the stream harmless. Texts whose model does not answer are left to the comparison with the catalogue: everything else, and all that
 * comes on the stream, need not wait for them. Undefined: not yet, there is no collection that can be opened.
 */
export async function fillLive({ admin, collections, readExport, bus, rebuild, logger }: FillLiveDeps, signal: AbortSignal): Promise<true | undefined> {
  const canOpen = async (): Promise<boolean> => {
    const name = await admin.liveCollection();
    return name !== undefined && admin.count(name).then(() => true, () => false);
  };
  await admin.ping();
  if (!(await canOpen())) {
    await rebuild();
    return (await canOpen()) ? true : undefined;
  }
  let waiting = 0;
  await readExport({ batchSize: BATCH, signal }, async (changes) => {
    await collections.withLive(async (target) => {
      const outcome = await embedProducts(target, changes);
      await announce(bus, outcome.changed.filter((item) => !item.again));
      waiting += outcome.waiting?.skus.size ?? 0;
    });
  });
  if (waiting > 0) logger.warn({ waiting }, 'the model does not answer: these products are brought in by a later comparison with the catalogue');
  return true;
}
