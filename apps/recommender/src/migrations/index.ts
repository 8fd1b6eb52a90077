import type { SchemaMigrations } from '@millrace/database';
import * as rankings from './001-rankings.ts';
import * as generations from './002-generations.ts';

export const migrations: SchemaMigrations = { schema: 'recs', migrations: { '001-rankings': rankings, '002-generations': generations } };
