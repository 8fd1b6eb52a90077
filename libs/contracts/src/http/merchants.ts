import { z } from 'zod';
import { defineOperation } from '../operation.ts';

const service = 'catalog-api';
export const merchantIdSchema = z.coerce.number().int().positive().max(2_147_483_647);
const name = z.string().trim().min(1).max(200).meta({ example: 'Cửa hàng Sông Hồng' });

export const merchantSchema = z.object({ id: z.int(), name, created_at: z.string(), updated_at: z.string() }).meta({ id: 'Merchant' });
export type Merchant = z.output<typeof merchantSchema>;
const example = { id: 1, name: 'Default merchant', created_at: '2026-11-01T08:00:00Z', updated_at: '2026-11-01T08:00:00Z' };

export const listMerchants = defineOperation({
  operationId: 'listMerchants', method: 'get', path: '/api/merchants', service, scope: 'products:read', summary: 'List merchants', query: z.strictObject({}),
  responses: { 200: { description: 'All merchants by id', schema: z.object({ data: z.array(merchantSchema) }), example: { data: [example] } } },
});
export const createMerchant = defineOperation({
  operationId: 'createMerchant', method: 'post', path: '/api/merchants', service, scope: 'products:write', audited: true, summary: 'Create a merchant',
  body: z.strictObject({ id: z.int().positive().max(2_147_483_647).optional(), name }), bodyExample: { name: 'Cửa hàng Sông Hồng' },
  responses: { 201: { description: 'Created', schema: merchantSchema, example } },
});
export const getMerchant = defineOperation({
  operationId: 'getMerchant', method: 'get', path: '/api/merchants/{id}', service, scope: 'products:read', summary: 'Read a merchant', params: z.strictObject({ id: merchantIdSchema }),
  responses: { 200: { description: 'The merchant', schema: merchantSchema, example } },
});
export const patchMerchant = defineOperation({
  operationId: 'patchMerchant', method: 'patch', path: '/api/merchants/{id}', service, scope: 'products:write', audited: true, summary: 'Rename a merchant',
  params: z.strictObject({ id: merchantIdSchema }), body: z.strictObject({ name }), bodyExample: { name: 'Sông Hồng' },
  responses: { 200: { description: 'The merchant as it is now', schema: merchantSchema, example } },
});
export const deleteMerchant = defineOperation({
  operationId: 'deleteMerchant', method: 'delete', path: '/api/merchants/{id}', service, scope: 'products:write', audited: true, summary: 'Delete a merchant that has no products',
  params: z.strictObject({ id: merchantIdSchema }), responses: { 204: { description: 'Deleted' } },
});

export const merchantOperations = [listMerchants, createMerchant, getMerchant, patchMerchant, deleteMerchant] as const;
