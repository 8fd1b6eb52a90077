/** One branch's stock of a product, as the POS has it: it may be a fraction, and below 0 where selling goes on without stock. */
export interface StubInventory { readonly branchId: number; readonly onHand: number; readonly reserved: number }

export interface StubProduct {
  readonly id: number;
  readonly code: string;
  readonly name: string;
  readonly description: string;
  readonly categoryId: number;
  readonly tradeMarkName: string;
  readonly barCode: string;
  readonly basePrice: number;
  readonly isActive: boolean;
  readonly allowsSale: boolean;
  readonly images: readonly string[];
  readonly attributes: readonly { readonly attributeName: string; readonly attributeValue: string }[];
  readonly inventories: readonly StubInventory[];
  /** Milliseconds since 1970. */
  readonly createdMs: number;
  readonly modifiedMs: number;
  /** When its stock changed last, where that was later: productOnHands goes by it. */
  readonly stockMs?: number;
}

export const branches = [
  { id: 1, branchName: 'Chi nhánh trung tâm', branchCode: 'CN0001', address: '12 Lê Lợi, Quận 1', contactNumber: '02838220001', email: 'q1@shop.example' },
  { id: 2, branchName: 'Chi nhánh Thủ Đức', branchCode: 'CN0002', address: '34 Võ Văn Ngân, Thủ Đức', contactNumber: '02838220002', email: 'td@shop.example' },
] as const;

export const categories = [
  { categoryId: 11, categoryName: 'Cà phê' }, { categoryId: 12, categoryName: 'Trà' }, { categoryId: 13, categoryName: 'Bánh kẹo' }, { categoryId: 14, categoryName: 'Đồ gia dụng' },
] as const;

const NAMES = ['Cà phê rang xay', 'Trà ô long', 'Bánh đậu xanh', 'Ấm siêu tốc', 'Cà phê hòa tan', 'Trà sen', 'Kẹo dừa', 'Nồi cơm điện'] as const;
const MAKERS = ['Sông Hương', 'Nhật Minh', 'An Phát'] as const;
const FIRST_MS = Date.parse('2024-10-01T01:00:00Z');
const PEOPLE = ['Nguyễn Văn An', 'Trần Thị Bích', 'Lê Hoàng Cường', 'Phạm Thu Dung'] as const;

const pick = <const L extends readonly [unknown, ...unknown[]]>(list: L, at: number): L[number] => list[at % list.length] ?? list[0];

/** The same products every time: the nth of a shop. */
export function sampleProduct(n: number): StubProduct {
  const modifiedMs = FIRST_MS + n * 61_000;
  return {
    id: 1_000 + n, code: `SP${String(n).padStart(6, '0')}`, name: `${pick(NAMES, n)} ${n}`, description: `Mã hàng ${n}`, categoryId: pick(categories, Math.floor(n / 2)).categoryId,
    tradeMarkName: pick(MAKERS, n), barCode: String(8_930_000_000_000 + n), basePrice: 15_000 + (n % 97) * 1_000, isActive: true, allowsSale: true,
    images: [`https://images.shop.example/${n}.jpg`], attributes: [{ attributeName: 'Loại', attributeValue: n % 2 === 0 ? 'Gói' : 'Hộp' }],
    inventories: [{ branchId: 1, onHand: n % 40, reserved: 0 }, { branchId: 2, onHand: (n * 3) % 25, reserved: 1 }], createdMs: modifiedMs - 86_400_000, modifiedMs,
  };
}

export interface StubCustomer { readonly id: number; readonly code: string; readonly name: string; readonly contactNumber: string; readonly email: string; readonly address: string; readonly modifiedMs: number }
export const sampleCustomer = (n: number): StubCustomer => ({
  id: 5_000 + n, code: `KH${String(n).padStart(6, '0')}`, name: pick(PEOPLE, n), contactNumber: `09${String(12_345_000 + n)}`, email: `khach${n}@mail.example`, address: `${n} Nguyễn Trãi, Quận 5`, modifiedMs: FIRST_MS + n * 3_600_000,
});

export interface StubInvoice { readonly id: number; readonly code: string; readonly customer: StubCustomer; readonly product: StubProduct; readonly quantity: number; readonly modifiedMs: number }
export const sampleInvoice = (n: number): StubInvoice => ({ id: 9_000 + n, code: `HD${String(n).padStart(6, '0')}`, customer: sampleCustomer(n), product: sampleProduct(n), quantity: 1 + (n % 3), modifiedMs: FIRST_MS + n * 7_200_000 });

export interface Shop {
  readonly products: Map<number, StubProduct>;
  /** Ids of deleted products, and when. */
  readonly removed: Map<number, number>;
  readonly customers: readonly StubCustomer[];
  readonly invoices: readonly StubInvoice[];
}

const numbered = <T>(count: number, make: (n: number) => T): T[] => Array.from({ length: count }, (_none, at) => make(at + 1));

export function createShop(products: number): Shop {
  return { products: new Map(numbered(products, sampleProduct).map((product) => [product.id, product])), removed: new Map(), customers: numbered(Math.min(products, 60), sampleCustomer), invoices: numbered(Math.min(products, 60), sampleInvoice) };
}
