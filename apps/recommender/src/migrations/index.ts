import type { SchemaMigrations } from '@millrace/database';
import * as rankings from './001-rankings.ts';
import * as generations from './002-generations.ts';
import * as experiments from './003-experiments.ts';
import * as erasure from './004-erasure.ts';

export const migrations: SchemaMigrations = {
  schema: 'recs',
  migrations: { '001-rankings': rankings, '002-generations': generations, '003-experiments': experiments, '004-erasure': erasure },
};
