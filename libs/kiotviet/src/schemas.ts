import { z } from 'zod';

const id = z.int().positive();
const text = z.string().nullish();
const flag = z.boolean().nullish();
/** A number, or a number as text; kept as decimal text, never as a float. It may be negative. */
const decimal = z.union([z.number(), z.string().trim()]).transform(String).pipe(z.string().max(40).regex(/^-?\d+(\.\d+)?$/, 'is not a decimal number'));
const quantity = z.union([z.number(), z.string().trim().regex(/^-?\d+(\.\d+)?$/).transform(Number)]).pipe(z.number());
const image = z.union([z.string(), z.object({ Image: z.string() }).transform(({ Image }) => Image), z.object({ image: z.string() }).transform((one) => one.image)]);

const inventorySchema = z.object({ branchId: z.int(), onHand: quantity.nullish(), onhand: quantity.nullish(), reserved: quantity.nullish() })
  .transform(({ branchId, onHand, onhand, reserved }) => ({ branchId, onHand: onHand ?? onhand ?? null, reserved: reserved ?? 0 }));
export type PosInventory = z.output<typeof inventorySchema>;

/** 2.4.1. What is not named here is not read. */
export const posProductSchema = z.object({
  id, code: text, name: text, fullName: text, description: text, barCode: text, categoryName: text, tradeMarkName: text, unit: text,
  basePrice: decimal.nullish(), isActive: flag, allowsSale: flag,
  images: z.array(image).max(100).nullish(),
  attributes: z.array(z.object({ attributeName: z.string(), attributeValue: z.string().nullish() })).max(200).nullish(),
  inventories: z.array(inventorySchema).max(1_000).nullish(),
  createdDate: text, modifiedDate: text,
});
export type PosProduct = z.output<typeof posProductSchema>;

/** 2.4.9: stock that changed, which does not change a product's modifiedDate. */
export const posOnHandSchema = z.object({ id, code: text, modifiedDate: text, createdDate: text, inventories: z.array(inventorySchema).max(1_000) });
export type PosOnHand = z.output<typeof posOnHandSchema>;

export const posBranchSchema = z.object({ id, branchName: text, branchCode: text, contactNumber: text, email: text, address: text, modifiedDate: text });
export const posCategorySchema = z.object({ categoryId: id, categoryName: text, parentId: z.int().nullish(), modifiedDate: text });

export const posCustomerSchema = z.object({
  id, code: text, name: text, contactNumber: text, email: text, address: text, locationName: text, wardName: text, birthDate: text, organization: text, taxCode: text, comments: text,
  debt: decimal.nullish(), totalInvoiced: decimal.nullish(), rewardPoint: quantity.nullish(), createdDate: text, modifiedDate: text,
});
export type PosCustomer = z.output<typeof posCustomerSchema>;

const invoiceLine = z.object({ productId: z.int().nullish(), productCode: text, productName: text, quantity: quantity.nullish(), price: decimal.nullish(), discount: decimal.nullish() });
export const posInvoiceSchema = z.object({
  id, code: text, purchaseDate: text, branchId: z.int().nullish(), branchName: text, soldByName: text, customerId: z.int().nullish(), customerCode: text, customerName: text,
  total: decimal.nullish(), totalPayment: decimal.nullish(), status: z.int().nullish(), statusValue: text, createdDate: text, modifiedDate: text,
  // The documentation shows an object; lists are what comes.
  invoiceDetails: z.union([z.array(invoiceLine).max(5_000), invoiceLine.transform((one) => [one])]).nullish(),
  invoiceDelivery: z.object({ receiver: text, contactNumber: text, address: text, statusValue: text }).nullish(),
});
export type PosInvoice = z.output<typeof posInvoiceSchema>;

const ids = z.array(z.int()).max(100_000).nullish();
/** The documentation spells the list of removed ids in four ways. */
const envelopeSchema = z.object({ total: z.int().min(0).nullish(), pageSize: z.int().min(0).nullish(), data: z.array(z.unknown()).max(10_000), removeId: ids, removeIds: ids, removedId: ids, removedIds: ids });

/** An item that cannot be read, without any of its values. */
export interface Unreadable { readonly id: number | null; readonly pointer: string; readonly detail: string }

export interface PosPage<T> {
  readonly data: readonly T[];
  readonly unreadable: readonly Unreadable[];
  /** As the POS says; of all pages. */
  readonly total: number;
  readonly removedIds: readonly number[];
}

/** A page of the POS: the whole is refused (undefined) where its form is wrong, an item alone where only that is. */
export function parsePage<S extends z.ZodType>(schema: S, value: unknown): PosPage<z.output<S>> | undefined {
  const envelope = envelopeSchema.safeParse(value);
  if (!envelope.success) return undefined;
  const { data: items, total, ...removed } = envelope.data;
  const data: z.output<S>[] = [];
  const unreadable: Unreadable[] = [];
  for (const item of items) {
    const parsed = schema.safeParse(item);
    if (parsed.success) {
      data.push(parsed.data);
      continue;
    }
    const issue = parsed.error.issues[0];
    const known = z.object({ id }).safeParse(item);
    unreadable.push({ id: known.success ? known.data.id : null, pointer: `/${issue?.path.map(String).join('/') ?? ''}`, detail: 'has a wrong type or form' });
  }
  return { data, unreadable, total: total ?? items.length, removedIds: [...new Set([...(removed.removeId ?? []), ...(removed.removeIds ?? []), ...(removed.removedId ?? []), ...(removed.removedIds ?? [])])] };
}
