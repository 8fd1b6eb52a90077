import { posBranchSchema, posCategorySchema, posCustomerSchema, posInvoiceSchema, posOnHandSchema, posProductSchema } from './schemas.ts';

const MINUTE_MS = 60_000;

/** The lists that are read. `keepMs` 0: answers hold people, and are never kept. */
export const endpoints = {
  branches: { path: '/branches', schema: posBranchSchema, keepMs: 10 * MINUTE_MS },
  categories: { path: '/categories', schema: posCategorySchema, keepMs: 10 * MINUTE_MS },
  products: { path: '/products', schema: posProductSchema, keepMs: 5 * MINUTE_MS },
  /** Products with their stock: fresh for as long as stock is. */
  stock: { path: '/products', schema: posProductSchema, keepMs: 30_000 },
  onHands: { path: '/productOnHands', schema: posOnHandSchema, keepMs: 0 },
  customers: { path: '/customers', schema: posCustomerSchema, keepMs: 0 },
  invoices: { path: '/invoices', schema: posInvoiceSchema, keepMs: 0 },
} as const;
export type Endpoint = keyof typeof endpoints;
