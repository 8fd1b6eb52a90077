/** What a derived store holds of one sku. `deleted`: a tombstone, which readers do not see. */
export interface StoredVersion {
  readonly sku: string;
  readonly version: number;
  readonly deleted: boolean;
}

/** Skus in the order of their UTF-8 bytes: `from` inclusive, `to` exclusive; absent = open end. */
export interface SkuRange {
  readonly from?: string;
  readonly to?: string;
}

/** UTF-16 units in the order of the code points that they are part of: surrogates come after U+FFFF. */
const rankOf = (unit: number): number => (unit >= 0xe000 ? unit - 0x800 : unit >= 0xd800 ? unit + 0x2000 : unit);

/** Order of UTF-8 bytes, as PostgreSQL's "C" collation, SQLite's BINARY and Elasticsearch's keywords have it; JavaScript's own `<` differs beyond U+FFFF. */
export function compareSkus(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let at = 0; at < length; at += 1) {
    const [left, right] = [a.charCodeAt(at), b.charCodeAt(at)];
    if (left !== right) return rankOf(left) - rankOf(right);
  }
  return a.length - b.length;
}
