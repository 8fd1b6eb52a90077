// Written by scripts/generate.ts from libs/contracts.

/** Paths of the POSTs that take an Idempotency-Key. */
export const keyedPosts: ReadonlySet<string> = new Set([
  '/api/products',
  '/api/products/{sku}/stock/adjust',
  '/api/merchants',
  '/api/admin/synonyms',
  '/api/admin/rules',
  '/api/admin/quarantine/replay',
  '/api/admin/quarantine/discard',
  '/api/admin/recommendations/rebuild',
  '/api/admin/experiments',
  '/api/admin/experiments/{key}/start',
  '/api/admin/analytics/recount',
  '/api/ut360/segments',
  '/api/admin/keys',
  '/api/admin/keys/{id}/rotate',
  '/api/admin/resync',
  '/api/admin/verify',
  '/api/admin/rebuilds',
  '/api/admin/rebuilds/{id}/cancel',
  '/api/admin/rebuilds/{id}/rollback',
  '/api/admin/streams/{topic}/repartition',
  '/api/admin/dead-letters/replay',
  '/api/admin/dead-letters/discard',
  '/api/sessions',
  '/api/sessions/{id}/messages',
  '/api/plans',
]);

/** Paths of the POSTs that change nothing. */
export const readPosts: ReadonlySet<string> = new Set([
  '/products',
  '/api/similar',
  '/api/rerank',
  '/api/ut360/lookup',
  '/api/ut360/segments/preview',
]);
