/** The ranks of words and of vectors fused, as catalog-api does it for `hybrid=true`. */
import { fuseRanks } from '../../apps/catalog-api/src/fuse-ranks.ts';
import type { Engine } from './engines.ts';
import type { JudgedQuery } from './icecat.ts';
import { pairedDifference, scoreQueries } from './metrics.ts';
import type { PairedDifference, Ranker } from './metrics.ts';

export const createFusedRanker = (words: Ranker, vectors: Ranker): Ranker =>
  async (query) => fuseRanks([await words(query), await vectors(query)]).map(({ sku }) => sku);

export interface HybridRow extends PairedDifference {
  readonly engine: string;
  readonly ndcgAt10: number;
}

/** One row an engine: NDCG@10 fused, and fused minus words alone. It is on by default only where the whole interval is above 0. */
export async function compareHybrid(engines: readonly Engine[], vectors: Ranker, queries: readonly JudgedQuery[]): Promise<HybridRow[]> {
  const rows: HybridRow[] = [];
  for (const engine of engines) {
    const words = (await scoreQueries(engine.openRanker(), queries)).map(({ ndcgAt10 }) => ndcgAt10);
    const fused = (await scoreQueries(createFusedRanker(engine.openRanker(), vectors), queries)).map(({ ndcgAt10 }) => ndcgAt10);
    rows.push({ engine: engine.name, ndcgAt10: fused.reduce((sum, value) => sum + value, 0) / fused.length, ...pairedDifference(fused, words) });
  }
  return rows;
}
