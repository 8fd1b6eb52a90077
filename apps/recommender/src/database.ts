import type { Db, Trx } from '@millrace/database';
import type { Generated } from 'kysely';
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
/** Generated and defaulted columns may be left out of an insert. */
interface RebuildsTable {
  readonly id: Generated<string>;
  readonly reason: string;
  readonly started_at: Generated<Date>;
  readonly finished_at: Date | null;
  readonly generation: string | null;
  readonly events: string | null;
  readonly users: string | null;
  /** JSON. */
  readonly drift: unknown;
  readonly error: string | null;
}

export interface RecsSchema extends ExperimentTables {
  'recs.rankings': RankingsTable;
  'recs.impressions': ImpressionsTable;
  'recs.rebuilds': RebuildsTable;
}
export type RecsDb = Db<RecsSchema>;
export type RecsTrx = Trx<RecsSchema>;
