import type { SchemaMigrations } from '@millrace/database';
import * as keys from './001-keys.ts';
import * as publishable from './002-publishable.ts';

export const migrations: SchemaMigrations = { schema: 'gateway', migrations: { '001-keys': keys, '002-publishable': publishable } };
