import type { Db } from '@millrace/database';
import type { Generated } from 'kysely';

interface FitsTable {
  readonly id: Generated<number>;
  readonly collection: string;
  readonly model_id: string;
  readonly fitted_on: number;
  readonly started_at: string;
  readonly finished_at: Generated<string>;
}

export interface EmbeddingSchema {
  'embedding.fits': FitsTable;
}
export type EmbeddingDb = Db<EmbeddingSchema>;
