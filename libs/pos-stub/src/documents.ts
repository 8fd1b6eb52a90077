import { branches, categories } from './shop.ts';
import type { StubCustomer, StubInventory, StubInvoice, StubProduct } from './shop.ts';

export const RETAILER_ID = 500_001;
const VIETNAM_MS = 7 * 3_600_000;

/** The form of the documented API: local time of Vietnam, seven decimals, no zone. */
export const toLocalTime = (ms: number): string => new Date(ms + VIETNAM_MS).toISOString().replace('Z', '0000');
/** The same the other way; undefined for anything else. A zone that is given counts. */
export function fromLocalTime(text: string): number | undefined {
  const hasZone = /(Z|[+-]\d\d:?\d\d)$/.test(text);
  const ms = Date.parse(hasZone ? text : `${text}+07:00`);
  return Number.isNaN(ms) ? undefined : ms;
}

const nameOfCategory = (id: number): string => categories.find(({ categoryId }) => categoryId === id)?.categoryName ?? '';
const branchName = (id: number): string => branches.find((branch) => branch.id === id)?.branchName ?? '';

const toInventory = (product: StubProduct, { branchId, onHand, reserved }: StubInventory): Record<string, unknown> =>
  ({ productId: product.id, productCode: product.code, productName: product.name, branchId, branchName: branchName(branchId), onHand, cost: product.basePrice / 2, onOrder: 0, reserved, minQuality: 0, maxQuality: 999_999 });

/** A product as in 2.4.1 of the documentation. */
export function toProductDocument(product: StubProduct, { withInventory }: { readonly withInventory: boolean }): Record<string, unknown> {
  return {
    id: product.id, code: product.code, barCode: product.barCode, retailerId: RETAILER_ID, allowsSale: product.allowsSale, name: product.name, fullName: product.name, categoryId: product.categoryId, categoryName: nameOfCategory(product.categoryId),
    tradeMarkName: product.tradeMarkName, description: product.description, hasVariants: false, attributes: product.attributes.map((attribute) => ({ productId: product.id, ...attribute })), unit: '', masterUnitId: null, conversionValue: 1,
    images: product.images, basePrice: product.basePrice, weight: 0, isActive: product.isActive, createdDate: toLocalTime(product.createdMs), modifiedDate: toLocalTime(product.modifiedMs),
    ...(withInventory && { inventories: product.inventories.map((inventory) => toInventory(product, inventory)) }),
  };
}

export const toOnHandDocument = (product: StubProduct): Record<string, unknown> => ({
  id: product.id, code: product.code, createdDate: toLocalTime(product.createdMs), modifiedDate: toLocalTime(product.modifiedMs), inventories: product.inventories.map(({ branchId, onHand, reserved }) => ({ branchId, onHand, reserved })),
});

export const toCustomerDocument = (customer: StubCustomer): Record<string, unknown> => ({
  id: customer.id, code: customer.code, name: customer.name, gender: true, birthDate: '1990-05-17T00:00:00.0000000', contactNumber: customer.contactNumber, address: customer.address, locationName: 'Hồ Chí Minh', wardName: 'Phường 2', email: customer.email,
  organization: '', comments: '', taxCode: '', debt: 0, rewardPoint: 10, retailerId: RETAILER_ID, createdDate: toLocalTime(customer.modifiedMs), modifiedDate: toLocalTime(customer.modifiedMs),
});

export function toInvoiceDocument({ id, code, customer, product, quantity, modifiedMs }: StubInvoice): Record<string, unknown> {
  const total = product.basePrice * quantity;
  return {
    id, code, purchaseDate: toLocalTime(modifiedMs), branchId: 1, branchName: branchName(1), soldById: 77, soldByName: 'Thu ngân', customerId: customer.id, customerCode: customer.code, customerName: customer.name,
    total, totalPayment: total, status: 1, statusValue: 'Hoàn thành', usingCod: false, createdDate: toLocalTime(modifiedMs), modifiedDate: toLocalTime(modifiedMs),
    invoiceDetails: [{ productId: product.id, productCode: product.code, productName: product.name, quantity, price: product.basePrice, discount: 0 }],
    invoiceDelivery: { deliveryCode: '', status: 3, receiver: customer.name, contactNumber: customer.contactNumber, address: customer.address },
  };
}

const STAMP_MS = Date.parse('2024-09-01T00:00:00Z');
export const branchDocuments: readonly Record<string, unknown>[] = branches.map((branch) => ({ ...branch, retailerId: RETAILER_ID, createdDate: toLocalTime(STAMP_MS), modifiedDate: toLocalTime(STAMP_MS) }));
export const categoryDocuments: readonly Record<string, unknown>[] = categories.map((category) => ({ ...category, parentId: null, retailerId: RETAILER_ID, hasChild: false, createdDate: toLocalTime(STAMP_MS), modifiedDate: toLocalTime(STAMP_MS) }));
