import type { SchemaMigrations } from '@millrace/database';
import * as interactions from './001-interactions.ts';
import * as quarantine from './002-quarantine.ts';

export const migrations: SchemaMigrations = { schema: 'events', migrations: { '001-interactions': interactions, '002-quarantine': quarantine } };
