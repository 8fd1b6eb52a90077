import type { Db } from '@millrace/database';

interface SweepsTable {
  readonly index_name: string;
  readonly watermark: string;
  readonly started_at: string;
  readonly finished_at: string;
  readonly seen: number;
  readonly indexed: number;
}

export interface SearchSchema {
  'search.sweeps': SweepsTable;
}
export type SearchDb = Db<SearchSchema>;
