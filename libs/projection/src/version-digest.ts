import { hash } from 'node:crypto';

/** A number for a set of (sku, version), whatever their order. */
export interface VersionDigest {
  add(entry: { readonly sku: string; readonly version: number }): void;
  readonly products: number;
  /** 16 hex digits. */
  readonly hex: string;
}

/**
 * XOR of the first 64 bits of SHA-256("<sku>\n<version>"): two sets that differ have equal digests once in 2^64. Each sku may be added once only.
 * The catalogue computes the same (apps/catalog-api/src/digest.repository.ts).
 */
export function createVersionDigest(): VersionDigest {
  let products = 0;
  let high = 0;
  let low = 0;
  return {
    add: ({ sku, version }) => {
      const bytes = hash('sha256', `${sku}\n${version}`, 'buffer');
      high ^= bytes.readInt32BE(0);
      low ^= bytes.readInt32BE(4);
      products += 1;
    },
    get products() {
      return products;
    },
    get hex() {
      return [high, low].map((half) => (half >>> 0).toString(16).padStart(8, '0')).join('');
    },
  };
}
