import type { SchemaMigrations } from '@millrace/database';
import * as pos from './001-pos.ts';

export const migrations: SchemaMigrations = { schema: 'pos', migrations: { '001-pos': pos } };
