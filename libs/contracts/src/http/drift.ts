import { z } from 'zod';
import { defineOperation } from '../operation.ts';

const common = { service: 'gateway', scope: 'ops' } as const;
/** A verification of millions of products takes minutes. */
const LONG_MS = 290_000;

/** Derived stores that are compared with the catalogue. */
export const storeNameSchema = z.enum(['search', 'vectors']).meta({ description: 'search: the search index (es-sync-worker); vectors: the vector index (embedding-worker)' });
export type StoreName = z.output<typeof storeNameSchema>;

const differenceSchema = z.object({
  sku: z.string(),
  kind: z.enum(['missing', 'behind', 'ghost', 'ahead']).meta({ description: 'missing: readers do not find it; behind: they find an older version; ghost: they find what is deleted; ahead: a version that the catalogue never had' }),
  wanted: z.int().nullable().meta({ description: 'Version in the catalogue; null = the sku is unknown there' }),
  stored: z.int().nullable().meta({ description: 'Version in the store; null = none' }),
});

export const verificationSchema = z
  .object({
    target: z.string().meta({ description: 'The live index or collection' }),
    started_at: z.string(),
    finished_at: z.string(),
    products: z.int().meta({ description: 'Products that readers should find' }),
    stored: z.int().meta({ description: 'Products that they found' }),
    missing: z.int(), behind: z.int(), ghosts: z.int(), ahead: z.int(),
    in_flight: z.int().meta({ description: 'Differences of changes that the consumer has not got to yet: no drift' }),
    repaired: z.int(),
    remaining: z.int().meta({ description: 'Differences that are still there: the drift' }),
    examples: z.array(differenceSchema).meta({ description: 'The first differences, at most 20' }),
  })
  .meta({ id: 'Verification' });
export type VerificationBody = z.output<typeof verificationSchema>;

/** `GET /internal/drift` and `POST /internal/verify` of the workers. */
export const internalDriftSchema = z.object({ verification: verificationSchema.nullable() });
export const internalVerifyBody = z.strictObject({ repair: z.boolean() });

export const driftSchema = z
  .object({
    stores: z.array(z.object({
      store: storeNameSchema,
      verification: verificationSchema.nullable().meta({ description: 'The last one; null: there was none yet, or the service cannot be asked' }),
      error: z.string().nullable().meta({ description: 'Why the service could not be asked' }),
    })),
  })
  .meta({ id: 'Drift' });
export type DriftBody = z.output<typeof driftSchema>;

const verificationExample: VerificationBody = {
  target: 'search-2', started_at: '2026-11-21T08:00:00.000Z', finished_at: '2026-11-21T08:00:01.200Z', products: 2000, stored: 1999, missing: 1, behind: 0, ghosts: 0, ahead: 0,
  in_flight: 0, repaired: 1, remaining: 0, examples: [{ sku: 'MR-0001', kind: 'missing', wanted: 1204, stored: null }],
};
const driftExample: DriftBody = { stores: [{ store: 'search', verification: verificationExample, error: null }, { store: 'vectors', verification: null, error: 'embedding-worker cannot be reached now' }] };

export const getDrift = defineOperation({
  ...common, operationId: 'getDrift', method: 'get', path: '/api/admin/drift', summary: 'What the last verification of each store found',
  responses: { 200: { description: 'One entry a store', schema: driftSchema, example: driftExample } },
});
export const verifyStores = defineOperation({
  ...common, operationId: 'verifyStores', method: 'post', path: '/api/admin/verify', audited: true, timeoutMs: LONG_MS, summary: 'Compare the stores with the catalogue now, and mend what differs',
  body: z.strictObject({ stores: z.array(storeNameSchema).min(1).max(2).default(['search', 'vectors']), repair: z.boolean().default(false).meta({ description: 'Write the differences, and only these, into the store' }) }),
  bodyExample: { repair: true },
  responses: { 200: { description: 'Done; one entry a store', schema: driftSchema, example: driftExample } },
});

export const driftOperations = [getDrift, verifyStores] as const;
