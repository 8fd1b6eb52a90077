/** What decides whether a fit is due. */
export interface FitSituation {
  /** Products with a vector in the live collection. */
  readonly count: number;
  /** As of the check before. */
  readonly previousCount: number | undefined;
  /** Products that the live model was fitted on; 0 = unfitted. */
  readonly fittedOn: number;
  /** The consumer group's backlog. */
  readonly lag: number;
  readonly msSinceLastFit: number;
}

export interface FitPolicy { readonly minProducts: number; readonly minIntervalMs: number }

const MAX_LAG = 1_000;
/** More growth than this between two checks means that an import is running: it shall end with one fit, not begin with one. */
const SETTLED_GROWTH = 1.02;

/** At `minProducts` and whenever the catalogue has doubled since the last fit; not in a burst, nor soon after the last one. */
export function isFitDue({ count, previousCount, fittedOn, lag, msSinceLastFit }: FitSituation, { minProducts, minIntervalMs }: FitPolicy): boolean {
  const wanted = fittedOn === 0 ? count >= minProducts : count >= fittedOn * 2;
  if (!wanted || lag > MAX_LAG || msSinceLastFit < minIntervalMs) return false;
  return previousCount !== undefined && count <= previousCount * SETTLED_GROWTH;
}
