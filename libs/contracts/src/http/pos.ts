import { z } from 'zod';
import { defineOperation } from '../operation.ts';

const service = 'pos';
const read = 'pos:read';
const write = 'pos:write';
/** The gateway waits for two attempts of the point of sale. */
const timeoutMs = 30_000;

const limit = z.coerce.number().int().min(1).max(100).default(20);
const offset = z.coerce.number().int().min(0).max(10_000_000).default(0).meta({ description: 'page.next of the answer before' });
const modifiedSince = z.iso.datetime({ offset: true }).optional().meta({ description: 'Only what changed at or after this time', example: '2026-11-01T00:00:00Z' });
const unmask = z.stringbool().default(false).meta({ description: 'true: people as they are, which needs the scope pii:read and is written down' });
const money = z.string().nullable().meta({ description: 'Decimal text', example: '45000' });
const text = z.string().nullable();

const page = z.object({ next: z.int().nullable().meta({ description: 'Offset of the next page, null on the last one' }), limit: z.int(), offset: z.int(), total: z.int() });
const listOf = <S extends z.ZodType>(item: S) => z.object({ data: z.array(item), page, unreadable: z.int().meta({ description: 'Items of the page that the point of sale sent in a form that is not its own: they are left out' }) });
const examplePage = { next: 20, limit: 20, offset: 0, total: 120 };

export const posProductSchema = z
  .object({
    id: z.int(), sku: text.meta({ description: 'Its code; null: it has none, and is not synchronised' }), name: text, description: text, category: text, brand: text, barcode: text, price: money,
    is_active: z.boolean(), stock: z.int().nullable().meta({ description: 'Whole units of all branches that count, at least 0; null without include_stock' }),
    branches: z.array(z.object({ branch_id: z.int(), on_hand: z.number(), reserved: z.number() })), modified_at: text,
  })
  .meta({ id: 'PosProduct' });
export type PosProductBody = z.output<typeof posProductSchema>;
export const posBranchSchema = z.object({ id: z.int(), name: text, code: text, phone: text, email: text, address: text }).meta({ id: 'PosBranch' });
export const posCategorySchema = z.object({ id: z.int(), name: text, parent_id: z.int().nullable() }).meta({ id: 'PosCategory' });
export const posCustomerSchema = z
  .object({ id: z.int(), code: text, name: text, phone: text, email: text, address: text, birth_date: text, organization: text, tax_code: text, comments: text, debt: money, total_invoiced: money, reward_points: z.number().nullable(), created_at: text, modified_at: text })
  .meta({ id: 'PosCustomer' });
export type PosCustomerBody = z.output<typeof posCustomerSchema>;
export const posInvoiceSchema = z
  .object({
    id: z.int(), code: text, purchased_at: text, branch_id: z.int().nullable(), branch: text, sold_by: text, customer_code: text, customer: text, total: money, paid: money, status: z.int().nullable(), status_text: text,
    lines: z.array(z.object({ sku: text, name: text, quantity: z.number().nullable(), price: money, discount: money })),
    delivery: z.object({ receiver: text, phone: text, address: text, status: text }).nullable(), created_at: text, modified_at: text,
  })
  .meta({ id: 'PosInvoice' });
export type PosInvoiceBody = z.output<typeof posInvoiceSchema>;

/** What a synchronisation did so far, or would do. */
const countFields = {
  read: z.int().meta({ description: 'Products of the point of sale' }), created: z.int(), updated: z.int(), unchanged: z.int(),
  deleted: z.int().meta({ description: 'Made by the synchronisation, and gone from the point of sale' }),
  archived: z.int().meta({ description: 'Known to the catalogue before, and gone from the point of sale' }),
  kept: z.int().meta({ description: 'Products of which the catalogue kept a field that was edited there' }),
  refused: z.int().meta({ description: 'Products that cannot be taken over: see problems' }),
};
const counts = z.object(countFields);
export type PosCounts = z.output<typeof counts>;
const problem = z.object({ pos_id: z.int().nullable(), sku: text, pointer: z.string(), detail: z.string() });
export type PosProblem = z.output<typeof problem>;

export const posRunSchema = z
  .object({
    id: z.int(), state: z.enum(['waiting', 'running', 'done', 'failed']), is_full: z.boolean(), requested_by: z.string().meta({ description: 'Id of the key, or "schedule"' }), requested_at: z.string(), started_at: text, ended_at: text,
    counts, problems: z.array(problem).meta({ description: 'The first 20' }), error: z.object({ code: z.string(), detail: z.string() }).nullable(),
  })
  .meta({ id: 'PosRun' });
export type PosRun = z.output<typeof posRunSchema>;

const change = z.object({
  sku: z.string(), pos_id: z.int(), action: z.enum(['create', 'update', 'delete', 'archive']),
  fields: z.record(z.string(), z.object({ from: z.json(), to: z.json() })).meta({ description: 'Empty for a product that is created or deleted' }), kept: z.array(z.string()).meta({ description: 'Fields that stay as they were edited in the catalogue' }),
});
export type PosChange = z.output<typeof change>;
export const posDiffSchema = z.object({ dry_run: z.literal(true), counts, changes: z.array(change).meta({ description: 'The first 200' }), truncated: z.boolean(), problems: z.array(problem) }).meta({ id: 'PosDiff' });
export type PosDiff = z.output<typeof posDiffSchema>;
export const posSyncSchema = z.discriminatedUnion('dry_run', [posDiffSchema, z.object({ dry_run: z.literal(false), run: posRunSchema })]);

const stateSchema = z.object({
  state: z.enum(['unknown', 'ok', 'failing', 'left_alone']).meta({ description: 'As this instance sees it; left_alone: after five failures in a row, for ten seconds' }),
  last_success_at: text, last_failure: z.object({ code: z.string(), at: z.string() }).nullable(),
});
export const posStatusSchema = z
  .object({
    configured: z.boolean(), system: z.literal('kiotviet'), retailer: text,
    connection: stateSchema.nullable(),
    token: z.object({ key_id: z.string(), expires_in_seconds: z.int() }).nullable().meta({ description: 'What this instance knows of it; null: none was needed yet' }),
    budget: z.object({ limit: z.int(), used: z.int(), remaining: z.int(), blocked_seconds: z.int() }).nullable().meta({ description: 'GETs of the last hour, of all instances; null: Redis cannot be asked' }),
    sync: z.object({ modified_to: text.meta({ description: 'How far changes are taken over, in the local time of the point of sale' }), run: posRunSchema.nullable().meta({ description: 'The last one' }), linked_products: z.int(), interval_seconds: z.int().nullable() }),
    webhooks: z.object({ configured: z.boolean(), received: z.int(), last_received_at: text, waiting_products: z.int() }),
    caches: z.boolean(),
  })
  .meta({ id: 'PosStatus' });
export type PosStatus = z.output<typeof posStatusSchema>;

const zeros: PosCounts = { read: 0, created: 0, updated: 0, unchanged: 0, deleted: 0, archived: 0, kept: 0, refused: 0 };
const runExample: PosRun = {
  id: 7, state: 'done', is_full: false, requested_by: 'key_1', requested_at: '2026-11-22T02:00:00.000Z', started_at: '2026-11-22T02:00:00.100Z', ended_at: '2026-11-22T02:00:01.200Z',
  counts: { ...zeros, read: 3, created: 1, updated: 1, unchanged: 1 }, problems: [], error: null,
};

export const getPosStatus = defineOperation({
  operationId: 'getPosStatus', method: 'get', path: '/api/pos/status', service, scope: read, summary: 'How the connection to the point of sale is', description: 'Asks nothing of the point of sale.',
  responses: { 200: { description: 'The status, also where no point of sale is connected', schema: posStatusSchema, example: {
    configured: true, system: 'kiotviet', retailer: 'quancaphe', connection: { state: 'ok', last_success_at: '2026-11-22T02:00:01.100Z', last_failure: null }, token: { key_id: 'k1', expires_in_seconds: 86_000 },
    budget: { limit: 5_000, used: 12, remaining: 4_988, blocked_seconds: 0 }, sync: { modified_to: '2026-11-22T08:59:00.0000000', run: runExample, linked_products: 120, interval_seconds: 300 },
    webhooks: { configured: true, received: 4, last_received_at: '2026-11-22T01:00:00.000Z', waiting_products: 0 }, caches: true } } },
});
export const listPosProducts = defineOperation({
  operationId: 'listPosProducts', method: 'get', path: '/api/pos/products', service, scope: read, timeoutMs, summary: 'Products as the point of sale has them',
  description: 'Answers may be 5 minutes old, with stock 30 seconds; what the point of sale reports as changed is answered anew at once.',
  query: z.strictObject({ limit, offset, modified_since: modifiedSince, include_stock: z.stringbool().default(false), is_active: z.stringbool().optional() }),
  responses: { 200: { description: 'One page', schema: listOf(posProductSchema), example: { data: [{ id: 1_001, sku: 'SP000001', name: 'Trà ô long 1', description: 'Mã hàng 1', category: 'Cà phê', brand: 'Nhật Minh', barcode: '8930000000001', price: '16000', is_active: true, stock: 3, branches: [{ branch_id: 1, on_hand: 1, reserved: 0 }, { branch_id: 2, on_hand: 3, reserved: 1 }], modified_at: '2026-10-01T08:01:01.0000000' }], page: examplePage, unreadable: 0 } } },
});
export const listPosBranches = defineOperation({
  operationId: 'listPosBranches', method: 'get', path: '/api/pos/branches', service, scope: read, timeoutMs, summary: 'Branches of the shop', description: 'Answers may be 10 minutes old.',
  query: z.strictObject({ limit, offset }),
  responses: { 200: { description: 'One page', schema: listOf(posBranchSchema), example: { data: [{ id: 1, name: 'Chi nhánh trung tâm', code: 'CN0001', phone: '02838220001', email: null, address: '12 Lê Lợi, Quận 1' }], page: { next: null, limit: 20, offset: 0, total: 1 }, unreadable: 0 } } },
});
export const listPosCategories = defineOperation({
  operationId: 'listPosCategories', method: 'get', path: '/api/pos/categories', service, scope: read, timeoutMs, summary: 'Categories of the point of sale', description: 'Answers may be 10 minutes old.',
  query: z.strictObject({ limit, offset }),
  responses: { 200: { description: 'One page', schema: listOf(posCategorySchema), example: { data: [{ id: 11, name: 'Cà phê', parent_id: null }], page: { next: null, limit: 20, offset: 0, total: 1 }, unreadable: 0 } } },
});
export const listPosCustomers = defineOperation({
  operationId: 'listPosCustomers', method: 'get', path: '/api/pos/customers', service, scope: read, timeoutMs, audited: true, isPersonal: true, summary: 'Customers as the point of sale has them',
  description: 'Never kept by us. Names, numbers and addresses are masked, unless unmask asks for them.',
  query: z.strictObject({ limit, offset, modified_since: modifiedSince, code: z.string().min(1).max(100).optional().meta({ description: 'The one with this code', example: 'KH000001' }), unmask }),
  responses: { 200: { description: 'One page', schema: listOf(posCustomerSchema), example: { data: [{ id: 5_001, code: 'KH000001', name: 'T*** T** B***', phone: '09******01', email: 'k***@mail.example', address: '***', birth_date: '***', organization: null, tax_code: null, comments: null, debt: '0', total_invoiced: null, reward_points: 10, created_at: '2026-10-01T09:00:00.0000000', modified_at: '2026-10-01T09:00:00.0000000' }], page: examplePage, unreadable: 0 } } },
});
export const listPosInvoices = defineOperation({
  operationId: 'listPosInvoices', method: 'get', path: '/api/pos/invoices', service, scope: read, timeoutMs, audited: true, isPersonal: true, summary: 'Invoices as the point of sale has them',
  description: 'Never kept by us. Who bought, sold and received is masked, unless unmask asks for it.',
  query: z.strictObject({ limit, offset, modified_since: modifiedSince, unmask }),
  responses: { 200: { description: 'One page', schema: listOf(posInvoiceSchema), example: { data: [{ id: 9_001, code: 'HD000001', purchased_at: '2026-10-01T10:00:00.0000000', branch_id: 1, branch: 'Chi nhánh trung tâm', sold_by: 'T** n***', customer_code: 'KH000001', customer: 'T*** T** B***', total: '32000', paid: '32000', status: 1, status_text: 'Hoàn thành', lines: [{ sku: 'SP000001', name: 'Trà ô long 1', quantity: 2, price: '16000', discount: '0' }], delivery: null, created_at: '2026-10-01T10:00:00.0000000', modified_at: '2026-10-01T10:00:00.0000000' }], page: examplePage, unreadable: 0 } } },
});
export const syncPos = defineOperation({
  operationId: 'syncPos', method: 'post', path: '/api/pos/sync', service, scope: write, audited: true, timeoutMs: 120_000, summary: 'Take over what changed in the point of sale into the catalogue',
  description: 'One at a time over all instances: another one that is not done yet is answered by 409. It goes on where it was broken off. dry_run reads everything that changed and says what would be done; it changes nothing.',
  query: z.strictObject({
    dry_run: z.stringbool().default(false), full: z.stringbool().default(false).meta({ description: 'Reads every product again, not only what changed' }),
    wait_seconds: z.coerce.number().int().min(0).max(60).default(20).meta({ description: 'How long the answer waits for the end; 0 = not at all' }),
  }),
  responses: {
    200: { description: 'The run as it ended, or the difference (dry_run)', schema: posSyncSchema, example: { dry_run: false, run: runExample } },
    202: { description: 'The run goes on: GET /api/pos/status shows it', schema: posSyncSchema, example: { dry_run: false, run: { ...runExample, state: 'running', ended_at: null } } },
  },
});
export const receivePosNotification = defineOperation({
  operationId: 'receivePosNotification', method: 'post', path: '/api/pos/webhooks/kiotviet', service, scope: write, isSigned: true, summary: 'What KiotViet reports as changed',
  description: 'For KiotViet itself: no key, but X-Hub-Signature over the body. Written down before it is answered; a notification that comes again is answered and changes nothing. What changed is then read from KiotViet: the notification only says what to look at.',
  responses: { 200: { description: 'Written down', schema: z.object({ accepted: z.boolean().meta({ description: 'false: it was known already' }), products: z.int().meta({ description: 'Products that will be read' }) }), example: { accepted: true, products: 1 } } },
});

export const posOperations = [getPosStatus, listPosProducts, listPosBranches, listPosCategories, listPosCustomers, listPosInvoices, syncPos, receivePosNotification] as const;
