import type { ExperimentSettings } from '@millrace/contracts';
import { BLEND_WEIGHTS, CONTEXT_WEIGHTS, VARIETY } from '@millrace/ranking';
import type { RecommendInput } from '@millrace/ranking';

export type RankingOptions = Pick<RecommendInput, 'personalize' | 'context' | 'variety' | 'weights' | 'without'>;

/** The ranking's options with these knobs turned; what is not named is as it is without experiments. */
export function toRankingOptions(settings: ExperimentSettings): RankingOptions {
  const { personalize = true, without = [] } = settings;
  if (Object.keys(settings).length === 0) return {};
  return {
    personalize, without: new Set(without),
    context: { categoryBoost: settings.category_boost ?? CONTEXT_WEIGHTS.categoryBoost, seenPenalty: settings.seen_penalty ?? CONTEXT_WEIGHTS.seenPenalty, priceFloor: settings.price_floor ?? CONTEXT_WEIGHTS.priceFloor },
    variety: { relevance: settings.diversity === undefined ? VARIETY.relevance : 1 - settings.diversity, brandShare: settings.brand_share ?? VARIETY.brandShare },
    weights: {
      ...BLEND_WEIGHTS, discovery: settings.discovery ?? BLEND_WEIGHTS.discovery, coView: settings.co_view ?? BLEND_WEIGHTS.coView,
      similar: settings.similar ?? BLEND_WEIGHTS.similar, trending: settings.trending ?? BLEND_WEIGHTS.trending,
    },
  };
}
