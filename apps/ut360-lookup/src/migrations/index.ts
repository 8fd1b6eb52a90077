import type { SchemaMigrations } from '@millrace/database';
import * as generations from './001-generations.ts';
import * as piiReads from './002-pii-reads.ts';
import * as schedule from './006-schedule.ts';

export const migrations: SchemaMigrations = {
  schema: 'ut360',
  migrations: {
    '001-generations': generations,
    '002-pii-reads': piiReads,
    '006-schedule': schedule,
  },
};
