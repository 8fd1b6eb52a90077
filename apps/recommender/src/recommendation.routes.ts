import { randomUUID } from 'node:crypto';
import { alsoBoughtProducts, getRecommendations, postImpressions, rerankItems } from '@millrace/contracts';
import type { AlsoBoughtAnswer, RecommendationsAnswer, RerankAnswer } from '@millrace/contracts';
import { ok, route } from '@millrace/http';
import { alsoBought, fallbackStages } from '@millrace/ranking';
import type { ItemFacts, Stage } from '@millrace/ranking';
import { notFound } from '@millrace/service';
import { Router } from 'express';
import { toRankingOptions } from './experiment-settings.ts';
import { priceOf } from './items.ts';
import type { Items } from './items.ts';
import { NOBODY } from './live-experiments.ts';
import type { Assigned } from './live-experiments.ts';
import { NO_COUNTS, orNothing, recommendForUser, rerankForUser } from './recommend-for-user.ts';
import type { RecommendForUserDeps } from './recommend-for-user.ts';
import type { RankingLog, ServedRanking } from './ranking-log.ts';

export interface RecommendationRoutesDeps extends RecommendForUserDeps {
  readonly items: Items;
  readonly log: Pick<RankingLog, 'add'>;
  /** Experiments that a user takes part in; absent: there are none. */
  readonly assign?: (userId: string | undefined) => Assigned;
  readonly recordImpressions: (rankingId: string, items: readonly { readonly sku: string; readonly position: number }[]) => Promise<number>;
}

const isFallback = (stage: Stage): boolean => fallbackStages.some((one) => one === stage);
const round = (score: number): number => Number(score.toPrecision(6));

function shown(items: Pick<Items, 'get'>, { sku, ...facts }: ItemFacts): Omit<RecommendationsAnswer['data'][number], 'score' | 'stage'> {
  const item = items.get(sku);
  return { sku, name: item?.name ?? sku, category: facts.category, brand: facts.brand, price: priceOf({ sku, ...facts }), currency: facts.currency, image_url: item?.imageUrl ?? null };
}

/** `GET /api/recommendations`, `POST /api/rerank`, `GET /api/products/{sku}/also-bought`, `POST /api/impressions`. */
export function recommendationRoutes(deps: RecommendationRoutesDeps): Router {
  const router = Router();
  const { items, counts, log, now } = deps;
  const served = (ranking: Omit<ServedRanking, 'rankingId' | 'servedAtMs'>): string => {
    const rankingId = randomUUID();
    log.add({ ...ranking, rankingId, servedAtMs: now() });
    return rankingId;
  };
  route(router, getRecommendations, async ({ query }) => {
    const { user_id: userId, category, exclude, exclude_seen: excludeSeen, limit, explain } = query;
    const { experiments, settings } = deps.assign?.(userId) ?? NOBODY;
    const { list, context, isDegraded } = await recommendForUser(deps, { userId, category, exclude, excludeSeen, limit, options: toRankingOptions(settings) });
    const data = list.map(({ item, score, stage, parts, factors }) => ({ ...shown(items, item), score: round(score), stage, ...(explain && { explain: { parts: parts ?? null, factors } }) }));
    const rankingId = served({ kind: 'recommendations', userId: userId ?? null, items: data, experiments });
    return ok({ ranking_id: rankingId, data, fallback: list.some(({ stage }) => isFallback(stage)), context, degraded: isDegraded, experiments: [...experiments] } satisfies RecommendationsAnswer, { 'cache-control': 'no-store' });
  });
  route(router, rerankItems, async ({ body }) => {
    const { list, context, isDegraded } = await rerankForUser(deps, { userId: body.user_id, items: body.items, limit: body.items.length });
    const kept = new Set(list.map(({ sku }) => sku));
    const data = list.slice(0, body.limit ?? list.length).map(({ sku, score, given, factors }) => ({ sku, score: round(score), given, ...(body.explain && { factors }) }));
    const leftOut = [...new Set(body.items.map(({ sku }) => sku))].filter((sku) => !kept.has(sku));
    const rankingId = served({ kind: 'rerank', userId: body.user_id, items: data.map(({ sku }) => ({ sku, stage: 'given' })) });
    return ok({ ranking_id: rankingId, data, left_out: leftOut, context, degraded: isDegraded } satisfies RerankAnswer);
  });
  route(router, alsoBoughtProducts, async ({ params: { sku }, query: { limit } }) => {
    const item = items.get(sku);
    if (item === undefined) throw notFound(`product ${sku}`);
    const [found, similar] = await Promise.all([orNothing(counts.aboutItem(sku, item.category), deps.onFailure), deps.similarTo(sku)]);
    const list = alsoBought({ counts: found ?? NO_COUNTS, find: items.find, item, similar: similar ?? new Map(), limit });
    const data = list.map(({ item: other, score, stage, together }) => ({ ...shown(items, other), score: round(score), stage, together }));
    const rankingId = served({ kind: 'also_bought', userId: null, items: data });
    return ok({ ranking_id: rankingId, data, degraded: found === undefined || similar === undefined } satisfies AlsoBoughtAnswer);
  });
  route(router, postImpressions, async ({ body }) => ok({ new: await deps.recordImpressions(body.ranking_id, body.items) }));
  return router;
}
