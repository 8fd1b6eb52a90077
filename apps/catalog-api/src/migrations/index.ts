import type { SchemaMigrations } from '@millrace/database';
import * as products from './001-products.ts';
import * as outbox from './002-outbox.ts';
import * as idempotency from './003-idempotency.ts';
import * as brandIndex from './004-brand-index.ts';
import * as relevance from './005-relevance.ts';
import * as searchCounts from './006-search-counts.ts';
import * as writers from './007-writers.ts';

export const migrations: SchemaMigrations = {
  schema: 'catalog',
  migrations: {
    '001-products': products, '002-outbox': outbox, '003-idempotency': idempotency, '004-brand-index': brandIndex, '005-relevance': relevance, '006-search-counts': searchCounts,
    '007-writers': writers,
  },
};
