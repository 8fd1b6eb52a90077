import type { SchemaMigrations } from '@millrace/database';
import * as interactions from './001-interactions.ts';
import * as quarantine from './002-quarantine.ts';
import * as analytics from './003-analytics.ts';
import * as users from './004-users.ts';

export const migrations: SchemaMigrations = {
  schema: 'events',
  migrations: { '001-interactions': interactions, '002-quarantine': quarantine, '003-analytics': analytics, '004-users': users },
};
