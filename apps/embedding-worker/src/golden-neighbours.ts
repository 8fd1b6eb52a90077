import type { RebuildCheck } from '@millrace/contracts';
import type { VectorAdmin } from '@millrace/vectors';

const SAMPLE = 20;
const TOP = 10;
/** Of a stored vector with itself: stores may keep 32-bit floats. */
const SAME = 0.999;
const EXAMPLES = 5;

/**
 * A sample of the collection's products: each that has a vector finds itself by it (or others with the very same vector, where more than ten have it).
 */
export async function askNeighbours(admin: Pick<VectorAdmin, 'openReader' | 'readVersions'>, target: string, signal: AbortSignal): Promise<readonly RebuildCheck[]> {
  const skus: string[] = [];
  for await (const batch of admin.readVersions(target, undefined, signal)) {
    // Spread over each batch: neighbours by sku are often one family.
    const step = Math.max(1, Math.floor(batch.length / SAMPLE));
    for (let at = 0; at < batch.length && skus.length < SAMPLE; at += step) skus.push(batch[at]?.sku ?? '');
    if (skus.length >= SAMPLE) break;
  }
  const reader = await admin.openReader(target);
  const failures: string[] = [];
  let asked = 0;
  try {
    for (const sku of skus) {
      const vector = (await reader.get(sku))?.vector;
      if (!vector) continue;
      asked += 1;
      const hits = await reader.nearest(vector, { limit: TOP, excludeSkus: [] });
      const found = hits.some((hit) => hit.sku === sku && hit.score >= SAME) || (hits.length === TOP && hits.every(({ score }) => score >= SAME));
      if (!found) failures.push(sku);
    }
  } finally {
    await reader.close();
  }
  const detail = failures.length === 0 ? `all of ${asked} find themselves` : `${failures.length} of ${asked} do not find themselves: ${failures.slice(0, EXAMPLES).join(', ')}`;
  return [{ check: 'golden neighbours: by their own vector', passed: failures.length === 0, detail }];
}
