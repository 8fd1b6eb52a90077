import { setTimeout as delay } from 'node:timers/promises';
import { EmbeddingUnavailableError } from '@millrace/embedding';
import { closeRedis, connectRedis, whenReady } from '@millrace/redis-kit';
import { RateLimiterMemory, RateLimiterRedis, RateLimiterRes } from 'rate-limiter-flexible';

/** What one request really cost. A request that never left costs nothing; one that the provider refused costs a request and no token. */
export interface Spent { readonly tokens: number; readonly requests: 0 | 1 }

/** One request that may be sent. */
export interface Reservation {
  /**
   * Puts what it cost in place of the estimate, in the minute and the day that it was taken from, once. Never rejects: where the counter cannot
   * be asked the estimate stands, as it does for a request of which nobody knows what came of it, and which is not settled.
   */
  settle(spent: Spent): Promise<void>;
}

/** What may be spent on a provider. Asked before each request. */
export interface Budget {
  /** Takes one request of about so many tokens. @throws EmbeddingUnavailableError (`budget`) where that is more than is left */
  take(tokens: number): Promise<Reservation>;
  close(): Promise<void>;
}

export const unlimitedBudget: Budget = { take: async () => ({ settle: async () => undefined }), close: async () => undefined };

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
  /** Milliseconds since 1970. Default: this machine's clock. */
  readonly nowMs?: () => number;
}

interface Limit {
  readonly what: 'tokens' | 'requests';
  readonly per: 'minute' | 'day';
  readonly points: number;
  readonly shared: RateLimiterRedis;
  /** Counts while Redis is away. */
  readonly own: RateLimiterMemory;
}

/** What was taken of one limit, and where: a correction belongs to the very counter that was charged. */
interface Taken { readonly limit: Limit; readonly limiter: RateLimiterRedis | RateLimiterMemory; readonly window: string; readonly cost: number }

/** A new connection is waited for so long before it counts as away. */
const firstWaitMs = 1_000;
const lengthMs = { minute: 60_000, day: 86_400_000 };

/** More than a limit has at all is as much as it has, so that a large request is not refused for ever. */
const costOf = ({ what, points }: Limit, tokens: number): number => (what === 'requests' ? 1 : Math.min(tokens, points));

/** Each window has a counter of its own: what comes after its end changes no other one. */
const windowAt = ({ per }: Limit, ms: number): string => String(Math.floor(ms / lengthMs[per]));

/** Undefined where that is more than is left. */
async function takeOf(limit: Limit, tokens: number, ms: number): Promise<Taken | undefined> {
  const [window, cost] = [windowAt(limit, ms), costOf(limit, tokens)];
  for (const limiter of [limit.shared, limit.own]) {
    const taken = { limit, limiter, window, cost };
    try {
      await limiter.consume(window, cost);
      return taken;
    } catch (error) {
      if (error instanceof RateLimiterRes) {
        // A refused attempt is counted too: it gives back what it took.
        await correct(taken, 0);
        return undefined;
      }
      if (limiter === limit.own) throw error;
    }
  }
  return undefined;
}

async function correct({ limiter, window, cost }: Taken, used: number): Promise<void> {
  const change = Math.ceil(used) - cost;
  try {
    if (change > 0) await limiter.penalty(window, change);
    else if (change < 0) await limiter.reward(window, -change);
  } catch {
    // The counter is away: the estimate stands.
  }
}

function openLimits(redis: ReturnType<typeof connectRedis>, name: string, limits: BudgetLimits): readonly Limit[] {
  const limitOf = (what: Limit['what'], per: Limit['per'], points: number | undefined): Limit[] => {
    if (points === undefined) return [];
    const options = { keyPrefix: `embedding:budget:${name}:${what}:${per}`, points, duration: lengthMs[per] / 1_000 };
    return [{ what, per, points, shared: new RateLimiterRedis({ ...options, storeClient: redis }), own: new RateLimiterMemory(options) }];
  };
  // The longest first: what a day refuses is taken from no minute.
  return [
    ...limitOf('tokens', 'day', limits.tokensPerDay), ...limitOf('requests', 'day', limits.requestsPerDay),
    ...limitOf('tokens', 'minute', limits.tokensPerMinute), ...limitOf('requests', 'minute', limits.requestsPerMinute),
  ];
}

/** Counts in minutes and days of UTC, in Redis. */
export function createRedisBudget({ url, name, waitMs = 0, nowMs = Date.now, ...limits }: RedisBudgetOptions): Budget {
  const redis = connectRedis(url, { role: 'once', name: 'embedding-budget' });
  const connected = whenReady(redis, firstWaitMs).catch(() => undefined); // away: each counts for itself
  const all = openLimits(redis, name, limits);

  /** All of it, or nothing and the limit that refused. */
  const takeAll = async (tokens: number): Promise<{ readonly taken: readonly Taken[] } | { readonly refusedBy: Limit }> => {
    const taken: Taken[] = [];
    const ms = nowMs();
    for (const limit of all) {
      const one = await takeOf(limit, tokens, ms);
      if (one === undefined) {
        await Promise.all(taken.map((other) => correct(other, 0)));
        return { refusedBy: limit };
      }
      taken.push(one);
    }
    return { taken };
  };
  return {
    async take(tokens) {
      await connected;
      const untilMs = nowMs() + waitMs;
      for (;;) {
        const result = await takeAll(tokens);
        if ('taken' in result) return { settle: async (spent) => void (await Promise.all(result.taken.map((one) => correct(one, spent[one.limit.what])))) };
        const { what, per, points } = result.refusedBy;
        const againMs = lengthMs[per] - (nowMs() % lengthMs[per]);
        if (nowMs() + againMs > untilMs) {
          throw new EmbeddingUnavailableError(`the budget of ${points} ${what} a ${per} for embeddings is used up, there is more in ${Math.ceil(againMs / 1_000)} s`, { trouble: 'budget', retryAfterMs: againMs });
        }
        await delay(againMs + 1);
      }
    },
    close: () => closeRedis(redis),
  };
}
