import type { SchemaMigrations } from '@millrace/database';
import * as interactions from './001-interactions.ts';

export const migrations: SchemaMigrations = { schema: 'events', migrations: { '001-interactions': interactions } };
