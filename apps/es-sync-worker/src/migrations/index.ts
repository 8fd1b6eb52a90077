import type { SchemaMigrations } from '@millrace/database';
import * as sweeps from './001-sweeps.ts';
import * as verification from './002-verification.ts';
import * as rebuilds from './003-rebuilds.ts';

export const migrations: SchemaMigrations = { schema: 'search', migrations: { '001-sweeps': sweeps, '002-verification': verification, '003-rebuilds': rebuilds } };
