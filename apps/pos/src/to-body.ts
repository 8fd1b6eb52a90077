import type { PosCustomerBody, PosInvoiceBody, PosProductBody } from '@millrace/contracts';
import type { ItemOf, PosCustomer, PosInvoice, PosProduct } from '@millrace/kiotviet';
import { stockOf } from './to-catalogue.ts';

const text = (value: string | null | undefined): string | null => (value === null || value === undefined || value.trim() === '' ? null : value);

export const toProductBody = (product: PosProduct, branchIds: readonly number[]): PosProductBody => ({
  id: product.id, sku: text(product.code), name: text(product.fullName) ?? text(product.name), description: text(product.description), category: text(product.categoryName), brand: text(product.tradeMarkName), barcode: text(product.barCode), price: product.basePrice ?? null,
  is_active: product.isActive !== false && product.allowsSale !== false, stock: stockOf(product.inventories, branchIds), branches: (product.inventories ?? []).map(({ branchId, onHand, reserved }) => ({ branch_id: branchId, on_hand: onHand ?? 0, reserved })), modified_at: text(product.modifiedDate),
});

export const toBranchBody = (branch: ItemOf<'branches'>) => ({ id: branch.id, name: text(branch.branchName), code: text(branch.branchCode), phone: text(branch.contactNumber), email: text(branch.email), address: text(branch.address) });
export const toCategoryBody = ({ categoryId, categoryName, parentId }: ItemOf<'categories'>) => ({ id: categoryId, name: text(categoryName), parent_id: parentId ?? null });

export const toCustomerBody = (one: PosCustomer): PosCustomerBody => ({
  id: one.id, code: text(one.code), name: text(one.name), phone: text(one.contactNumber), email: text(one.email), address: text([one.address, one.wardName, one.locationName].filter((part) => text(part) !== null).join(', ')), birth_date: text(one.birthDate),
  organization: text(one.organization), tax_code: text(one.taxCode), comments: text(one.comments), debt: one.debt ?? null, total_invoiced: one.totalInvoiced ?? null, reward_points: one.rewardPoint ?? null, created_at: text(one.createdDate), modified_at: text(one.modifiedDate),
});

export const toInvoiceBody = (one: PosInvoice): PosInvoiceBody => ({
  id: one.id, code: text(one.code), purchased_at: text(one.purchaseDate), branch_id: one.branchId ?? null, branch: text(one.branchName), sold_by: text(one.soldByName), customer_code: text(one.customerCode), customer: text(one.customerName),
  total: one.total ?? null, paid: one.totalPayment ?? null, status: one.status ?? null, status_text: text(one.statusValue),
  lines: (one.invoiceDetails ?? []).map((line) => ({ sku: text(line.productCode), name: text(line.productName), quantity: line.quantity ?? null, price: line.price ?? null, discount: line.discount ?? null })),
  delivery: one.invoiceDelivery ? { receiver: text(one.invoiceDelivery.receiver), phone: text(one.invoiceDelivery.contactNumber), address: text(one.invoiceDelivery.address), status: text(one.invoiceDelivery.statusValue) } : null,
  created_at: text(one.createdDate), modified_at: text(one.modifiedDate),
});
