import type { SchemaMigrations } from '@millrace/database';
import * as keys from './001-keys.ts';
import * as publishable from './002-publishable.ts';
import * as identity from './003-identity.ts';
import * as plans from './004-plans.ts';
import * as toldPlans from './005-told-plans.ts';

export const migrations: SchemaMigrations = { schema: 'gateway', migrations: { '001-keys': keys, '002-publishable': publishable, '003-identity': identity, '004-plans': plans, '005-told-plans': toldPlans } };
