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
