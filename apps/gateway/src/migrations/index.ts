import type { SchemaMigrations } from '@millrace/database';
import * as keys from './001-keys.ts';

export const migrations: SchemaMigrations = { schema: 'gateway', migrations: { '001-keys': keys } };
