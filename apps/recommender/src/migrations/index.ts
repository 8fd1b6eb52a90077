import type { SchemaMigrations } from '@millrace/database';
import * as rankings from './001-rankings.ts';

export const migrations: SchemaMigrations = { schema: 'recs', migrations: { '001-rankings': rankings } };
