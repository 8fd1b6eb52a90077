import type { SchemaMigrations } from '@millrace/database';
import * as fits from './001-fits.ts';
import * as verification from './002-verification.ts';
import * as rebuilds from './003-rebuilds.ts';

export const migrations: SchemaMigrations = { schema: 'embedding', migrations: { '001-fits': fits, '002-verification': verification, '003-rebuilds': rebuilds } };
