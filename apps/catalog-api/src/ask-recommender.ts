import { internalRerankAnswerSchema } from '@millrace/contracts';
import { within } from '@millrace/service';
import type { IdentitySigner } from '@millrace/service';
import { BrokenCircuitError, circuitBreaker, ConsecutiveBreaker, handleAll } from 'cockatiel';
import { Counter } from 'prom-client';
import type { Registry } from 'prom-client';
import type { RerankForUser } from './personal-search.ts';

export interface AskRecommenderDeps {
  /** Second port of the recommender. */
  readonly baseUrl: string;
  readonly signer: IdentitySigner;
  readonly metrics: Registry;
  /** Longest wait of one search, milliseconds. */
  readonly budgetMs?: number;
}

export const PERSONAL_BUDGET_MS = 30;
const FAILURES = 5;
const HALF_OPEN_MS = 1_000;

class LateError extends Error {
  override readonly name = 'LateError';
}

/** Asks the recommender for a user's order. Never rejects and never takes longer than the budget; after five failures in a row it is left alone for a second. */
export function createAskRecommender({ baseUrl, signer, metrics, budgetMs = PERSONAL_BUDGET_MS }: AskRecommenderDeps): RerankForUser {
  const failed = new Counter({ name: 'search_unpersonalized_total', help: 'Searches that should have been personalised and were not', labelNames: ['reason'], registers: [metrics] });
  const breaker = circuitBreaker(handleAll, { halfOpenAfter: HALF_OPEN_MS, breaker: new ConsecutiveBreaker(FAILURES) });
  const url = new URL('/internal/rerank', baseUrl);
  const ask = async (body: string, signal: AbortSignal): ReturnType<RerankForUser> => {
    const token = await signer.sign('recommender', { subject: 'catalog-api', scopes: [] });
    const answer = await fetch(url, { method: 'POST', headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' }, body, signal });
    if (!answer.ok) throw new Error(`the recommender answered ${answer.status}`);
    const { ranking_id: rankingId, data, context } = internalRerankAnswerSchema.parse(await answer.json());
    return context === 'unavailable' ? { reason: 'unavailable' } : { skus: data, rankingId };
  };
  return async (userId, items) => {
    const body = JSON.stringify({ user_id: userId, items });
    const ending = new AbortController();
    try {
      // The budget holds for the breaker, too: while it tries whether the recommender is back, other calls wait for what that shows.
      const answer = await within(budgetMs, breaker.execute(() => ask(body, ending.signal)), () => new LateError(`no answer within ${budgetMs} ms`));
      if ('reason' in answer) failed.inc({ reason: answer.reason });
      return answer;
    } catch (error) {
      const reason = error instanceof LateError ? 'timeout' : 'unavailable';
      failed.inc({ reason: error instanceof BrokenCircuitError ? 'left_alone' : reason });
      return { reason };
    } finally {
      ending.abort(); // what is too late is not read
    }
  };
}
