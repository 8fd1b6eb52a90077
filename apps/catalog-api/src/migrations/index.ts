import type { SchemaMigrations } from '@millrace/database';
import * as products from './001-products.ts';
import * as outbox from './002-outbox.ts';
import * as idempotency from './003-idempotency.ts';
import * as brandIndex from './004-brand-index.ts';

export const migrations: SchemaMigrations = {
  schema: 'catalog',
  migrations: { '001-products': products, '002-outbox': outbox, '003-idempotency': idempotency, '004-brand-index': brandIndex },
};
