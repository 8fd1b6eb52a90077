import type { SchemaMigrations } from '@millrace/database';
import * as fits from './001-fits.ts';

export const migrations: SchemaMigrations = { schema: 'embedding', migrations: { '001-fits': fits } };
