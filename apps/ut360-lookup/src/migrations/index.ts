import type { SchemaMigrations } from '@millrace/database';
import * as generations from './001-generations.ts';
import * as piiReads from './002-pii-reads.ts';
import * as analytics from './004-analytics.ts';
import * as erased from './005-erased.ts';

export const migrations: SchemaMigrations = {
  schema: 'ut360',
  migrations: { '001-generations': generations, '002-pii-reads': piiReads, '004-analytics': analytics, '005-erased': erased },
};
