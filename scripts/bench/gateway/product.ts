import type { Product } from '@millrace/contracts';

export const product = (sku: string, version: number): Product => ({
  sku, version, content_version: version, merchant_id: 1, name: 'Tai nghe không dây', description: 'A description of about the usual length, so that answers are as long as real ones are. '.repeat(4), category: 'Audio', brand: 'Nhật Minh',
  mpn: 'NM-100', ean: ['4006381333931'], price: 89.9, price_minor: 8_990, currency: 'USD', stock: 12, image_url: 'https://example.com/headphones.jpg', attributes: { colour: 'black', weight_g: 240 }, status: 'active',
  created_at: '2026-11-01T08:00:00.000000Z', updated_at: '2026-11-01T08:00:00.000000Z',
});

const bodies = new Map<string, string>();
/** As catalog-api answers it, nearly 800 bytes. */
export function productBody(sku: string, version: number): string {
  const name = `${sku} ${version}`;
  const known = bodies.get(name) ?? JSON.stringify(product(sku, version));
  bodies.set(name, known);
  return known;
}
