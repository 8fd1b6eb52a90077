import { createTargets } from '@millrace/projection';
import type { Targets } from '@millrace/projection';
import type { SearchAdmin } from '@millrace/search';
import type { Logger } from '@millrace/service';
import type { Target } from './index-products.ts';

/** The physical indexes that are written now: the live one, and the one that is being built. */
export type Indexes = Targets<Target>;

export interface IndexesDeps {
  readonly admin: Pick<SearchAdmin, 'liveIndex' | 'openWriter'>;
  /** Name of the index that is being built, by whatever instance. */
  readonly building: () => string | undefined;
  readonly logger: Pick<Logger, 'warn'>;
}

export const createIndexes = ({ admin, building, logger }: IndexesDeps): Indexes =>
  createTargets({ live: () => admin.liveIndex(), building, open: async (index) => ({ index, writer: await admin.openWriter(index) }), close: ({ writer }) => writer.close(), logger });
