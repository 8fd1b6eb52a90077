import type { Applied, ApplyChanges, Product, applyChangesBody } from '@millrace/contracts';
import { AppError } from '@millrace/service';
import { sql } from 'kysely';
import type { z } from 'zod';
import type { CatalogTrx } from './database.ts';
import { deleteProduct, insertProduct, updateProduct } from './product.repository.ts';

type Change = z.output<typeof applyChangesBody>['changes'][number];
type Result = Applied['results'][number];

const skuOf = (change: Change): string => (change.op === 'create' ? change.product.sku : change.sku);
/** The product is not as the source has seen it: it is there already, has gone, or was edited. */
const MOVED: ReadonlySet<string> = new Set(['duplicate', 'not_found', 'precondition_failed']);

async function applyOne(trx: CatalogTrx, change: Change, defaultCurrency: string): Promise<Product | null> {
  if (change.op === 'create') return insertProduct(trx, change.product, change.product.currency ?? defaultCurrency);
  if (change.op === 'patch') return updateProduct(trx, change.sku, change.patch, [change.content_version]);
  await deleteProduct(trx, change.sku, [change.content_version]);
  return null;
}

/** From now on nothing with a smaller number writes as this source. Throws conflict where a larger one was seen. */
async function raiseFence(trx: CatalogTrx, { source, fence }: Pick<ApplyChanges, 'source' | 'fence'>): Promise<void> {
  const raised = await sql`insert into catalog.writers as w (source, fence) values (${source}, ${fence}) on conflict (source) do update set fence = excluded.fence where w.fence <= excluded.fence`.execute(trx);
  if (raised.numAffectedRows !== 1n) throw new AppError('conflict', `a later writer of ${source} has taken over: this one changes nothing`);
}

/**
 * Writes another service's changes, each where the content of its product is still what was seen (stock may have changed); the others are told so, and nothing of them is done. A change
 * that is applied twice has no effect the second time: it finds what it has done.
 */
export async function applyChanges(trx: CatalogTrx, body: z.output<typeof applyChangesBody>, defaultCurrency: string): Promise<Applied> {
  await raiseFence(trx, body);
  const results: Result[] = [];
  for (const change of body.changes) {
    const sku = skuOf(change);
    await sql`savepoint one_change`.execute(trx);
    try {
      results.push({ state: 'applied', sku, product: await applyOne(trx, change, defaultCurrency) });
    } catch (error) {
      // A refused change shall not undo the others.
      await sql`rollback to savepoint one_change`.execute(trx);
      if (!(error instanceof AppError)) throw error;
      results.push(MOVED.has(error.code) ? { state: 'moved', sku } : { state: 'refused', sku, code: error.code, detail: error.message });
    }
  }
  return { results };
}
