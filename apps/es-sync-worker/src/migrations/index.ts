import type { SchemaMigrations } from '@millrace/database';
import * as sweeps from './001-sweeps.ts';

export const migrations: SchemaMigrations = { schema: 'search', migrations: { '001-sweeps': sweeps } };
