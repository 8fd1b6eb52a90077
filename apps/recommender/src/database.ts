import type { Db, Trx } from '@millrace/database';
import type { ExperimentTables } from './experiment-tables.ts';

interface RankingsTable {
  readonly ranking_id: string;
  readonly user_id: string | null;
  readonly kind: 'recommendations' | 'rerank' | 'also_bought';
  readonly served_at: Date;
  readonly skus: string[];
  readonly stages: string[];
}
interface ImpressionsTable {
  readonly ranking_id: string;
  readonly sku: string;
  readonly position: number;
  readonly seen_at: Date;
}

export interface RecsSchema extends ExperimentTables {
  'recs.rankings': RankingsTable;
  'recs.impressions': ImpressionsTable;
}
export type RecsDb = Db<RecsSchema>;
export type RecsTrx = Trx<RecsSchema>;
