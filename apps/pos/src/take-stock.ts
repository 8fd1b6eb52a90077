import type { ApplyChanges, PosChange, PosProblem } from '@millrace/contracts';
import type { PosOnHand } from '@millrace/kiotviet';
import { AppError } from '@millrace/service';
import { findLinks } from './link.repository.ts';
import { noCounts } from './take-over.ts';
import type { Outcome, TakeOverDeps } from './take-over.ts';
import { stockOf } from './to-catalogue.ts';

const ROUNDS = 5;

/** Stock that changed without its product. Of products that are linked only: others come with the product. Safe to call again with the same. Throws as `takeOver` does. */
export async function takeStock({ pool, catalogue, rules }: TakeOverDeps, items: readonly PosOnHand[], fence: number | undefined): Promise<Outcome> {
  const links = await findLinks(pool, items.map(({ id }) => id));
  const wanted = new Map(items.flatMap(({ id, inventories }) => {
    const link = links.get(id);
    return link && !link.isRemoved ? [[link.sku, { posId: id, stock: stockOf(inventories, rules.branchIds) }] as const] : [];
  }));
  const shown: PosChange[] = [];
  const problems: PosProblem[] = [];
  let left = [...wanted.keys()].toSorted();
  let updated = 0;
  for (let round = 0; round < ROUNDS && left.length > 0; round += 1) {
    const products = await catalogue.states(left);
    const changes: ApplyChanges['changes'] = [];
    for (const sku of left) {
      const [product, want] = [products.get(sku), wanted.get(sku)];
      if (!product || !want || want.stock === null || product.stock === want.stock) continue;
      changes.push({ op: 'patch', sku, content_version: product.content_version, patch: { stock: want.stock } });
      if (round === 0) shown.push({ sku, pos_id: want.posId, action: 'update', fields: { stock: { from: product.stock, to: want.stock } }, kept: [] });
    }
    if (fence === undefined) return { counts: { ...noCounts, updated: changes.length }, problems: [], changes: shown };
    const results = await catalogue.apply(fence, changes);
    updated += results.filter(({ state }) => state === 'applied').length;
    left = results.flatMap(({ state, sku }) => (state === 'moved' ? [sku] : []));
    for (const result of results) if (result.state === 'refused') problems.push({ pos_id: wanted.get(result.sku)?.posId ?? null, sku: result.sku, pointer: '/stock', detail: `the catalogue refuses it: ${result.detail}` });
  }
  // Else it would be behind the cursor, and nobody would look at it again.
  if (left.length > 0) throw new AppError('conflict', 'products are being edited in the catalogue faster than their stock can be taken over: try again', { headers: { 'Retry-After': '5' } });
  return { counts: { ...noCounts, updated, refused: problems.length }, problems, changes: shown };
}
