import { setTimeout as delay } from 'node:timers/promises';
import { EmbeddingUnavailableError } from '@millrace/embedding';
import { closeRedis, connectRedis, whenReady } from '@millrace/redis-kit';
import { RateLimiterMemory, RateLimiterRedis, RateLimiterRes } from 'rate-limiter-flexible';

/** What may be spent on a provider. Asked before each request. */
export interface Budget {
  /** Takes one request of so many tokens. @throws EmbeddingUnavailableError (`budget`) where that is more than is left */
  take(tokens: number): Promise<void>;
  /** Corrects an estimate by what the provider counted. Never rejects. */
  settle(estimated: number, used: number): Promise<void>;
  close(): Promise<void>;
}

export const unlimitedBudget: Budget = { take: async () => undefined, settle: async () => undefined, close: async () => undefined };

export interface BudgetLimits {
  readonly tokensPerMinute?: number;
  readonly tokensPerDay?: number;
  readonly requestsPerMinute?: number;
  readonly requestsPerDay?: number;
}

export interface RedisBudgetOptions extends BudgetLimits {
  /** Redis that counts for all instances. While it is away each instance counts for itself. */
  readonly url: string;
  /** Who spends it: instances with the same name share the budget. */
  readonly name: string;
  /** A budget of a minute that is used up is waited for, if it is free again within so many milliseconds. Default 0: never. */
  readonly waitMs?: number;
}

interface Limit { readonly what: 'tokens' | 'requests'; readonly per: 'minute' | 'day'; readonly points: number; readonly limiter: RateLimiterRedis }

/** A new connection is waited for so long before it counts as away. */
const firstWaitMs = 1_000;
const seconds = { minute: 60, day: 86_400 };

/** Counts in windows of a minute and a day that begin with their first request, in Redis. */
export function createRedisBudget({ url, name, waitMs = 0, ...limits }: RedisBudgetOptions): Budget {
  const redis = connectRedis(url, { role: 'once', name: 'embedding-budget' });
  const connected = whenReady(redis, firstWaitMs).catch(() => undefined); // away: the insurance counts
  const limitOf = (what: Limit['what'], per: Limit['per'], points: number | undefined): Limit[] => {
    if (points === undefined) return [];
    const window = { keyPrefix: `embedding:budget:${name}:${what}:${per}`, points, duration: seconds[per] };
    return [{ what, per, points, limiter: new RateLimiterRedis({ ...window, storeClient: redis, insuranceLimiter: new RateLimiterMemory(window) }) }];
  };
  // The longest first: what a day refuses is taken from no minute.
  const all = [
    ...limitOf('tokens', 'day', limits.tokensPerDay), ...limitOf('requests', 'day', limits.requestsPerDay),
    ...limitOf('tokens', 'minute', limits.tokensPerMinute), ...limitOf('requests', 'minute', limits.requestsPerMinute),
  ];
  const costOf = ({ what, points }: Limit, tokens: number): number => (what === 'requests' ? 1 : Math.min(tokens, points));
  const back = (taken: readonly Limit[], tokens: number): Promise<unknown> => Promise.all(taken.map((limit) => limit.limiter.reward('all', costOf(limit, tokens))));

  const takeOnce = async (tokens: number): Promise<{ readonly limit: Limit; readonly againMs: number } | undefined> => {
    for (const [at, limit] of all.entries()) {
      try {
        await limit.limiter.consume('all', costOf(limit, tokens));
      } catch (error) {
        if (!(error instanceof RateLimiterRes)) throw error;
        // A refused attempt is counted too: it gives back what it took.
        await back(all.slice(0, at + 1), tokens);
        return { limit, againMs: error.msBeforeNext };
      }
    }
    return undefined;
  };
  return {
    async take(tokens) {
      await connected;
      const untilMs = performance.now() + waitMs;
      for (;;) {
        const refused = await takeOnce(tokens);
        if (refused === undefined) return;
        const { limit: { what, per, points }, againMs } = refused;
        if (performance.now() + againMs > untilMs) {
          throw new EmbeddingUnavailableError(`the budget of ${points} ${what} a ${per} for embeddings is used up, there is more in ${Math.ceil(againMs / 1_000)} s`, { trouble: 'budget', retryAfterMs: againMs });
        }
        await delay(againMs + 1);
      }
    },
    async settle(estimated, used) {
      const tokenLimits = all.filter(({ what }) => what === 'tokens');
      const correct = ({ limiter }: Limit): Promise<unknown> => (used > estimated ? limiter.penalty('all', used - estimated) : limiter.reward('all', estimated - used));
      if (used !== estimated) await Promise.allSettled(tokenLimits.map(correct));
    },
    close: () => closeRedis(redis),
  };
}
