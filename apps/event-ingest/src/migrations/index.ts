import type { SchemaMigrations } from '@millrace/database';
import * as interactions from './001-interactions.ts';
import * as users from './004-users.ts';

export const migrations: SchemaMigrations = { schema: 'events', migrations: { '001-interactions': interactions, '004-users': users } };
