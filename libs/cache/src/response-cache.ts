import type { Answer, Keeping } from './answer.ts';
import type { Outcome } from './cache-metrics.ts';
import { createFill } from './fill.ts';
import type { FillDeps } from './fill.ts';
import type { NearCache } from './near-cache.ts';
import type { OwedPurges } from './owed-purges.ts';
import type { RedisSwitch } from './redis-switch.ts';
import type { SharedStore, Stored } from './shared-store.ts';

/** A call that may be answered from the cache. */
export interface CacheCall {
  /** Everything that decides the answer: calls with the same id get the same one. */
  readonly id: string;
  /** For metrics. */
  readonly operation: string;
  /** Asks the origin, once for many callers, so it must not end with one of them. undefined: there is an answer, but not one to hold in memory. */
  readonly fetch: () => Promise<Answer | undefined>;
  /** undefined: not for the cache. Answers of 500 and above never are. */
  readonly keep: (answer: Answer) => Keeping | undefined;
}

export interface CacheResult {
  /** undefined: what `fetch` came to. */
  readonly answer: Answer | undefined;
  readonly outcome: Outcome;
  /** Of an answer from the cache. */
  readonly ageMs?: number;
  /** For how much longer it is fresh; negative: it is stale for so long. */
  readonly ttlMs?: number;
  readonly isStored?: boolean;
}

export interface ResponseCache {
  /** Rejects with what `fetch` rejects with, where there is no answer that may stand in for it; never because of Redis. */
  get(call: CacheCall): Promise<CacheResult>;
  /**
   * When it resolves no instance gets an answer with one of the tags (undefined: any answer) from Redis, and this one gives none from its memory; whoever is
   * being asked for one now is not waited for by later callers. Where Redis cannot be told, this instance gives nothing from it until it was. Never rejects.
   */
  purge(tags: readonly string[] | undefined): Promise<void>;
}

export interface ResponseCacheDeps extends Omit<FillDeps, 'near'> {
  readonly near: NearCache;
  readonly store: SharedStore;
  readonly redis: RedisSwitch;
  readonly owed: OwedPurges;
}

const isStaleUsable = ({ ageMs, freshMs, staleWhileRevalidateMs }: Stored): boolean => ageMs < freshMs + staleWhileRevalidateMs;

const given = (stored: Stored, outcome: Outcome): CacheResult => ({ answer: stored.answer, outcome, ageMs: stored.ageMs, ttlMs: stored.freshMs - stored.ageMs });

/** One look into Redis, and what follows from it. */
function createAnswering(deps: ResponseCacheDeps): (call: CacheCall) => Promise<CacheResult> {
  const { near, store, redis, owed } = deps;
  const fill = createFill(deps);
  const refreshing = new Set<string>();
  /** At most one for each id and process; the lock makes it one for all. */
  const refresh = (call: CacheCall): void => {
    if (refreshing.has(call.id)) return;
    refreshing.add(call.id);
    fill(call, { isBackground: true }).catch((error: unknown) => deps.onRefreshFailed(error, call.operation)).finally(() => refreshing.delete(call.id));
  };
  return async (call) => {
    if (!redis.isOn() || owed.isOwing()) return { answer: await call.fetch(), outcome: 'bypass' };
    const purges = near.purges();
    const found = await redis.attempt(async () => ({ stored: await store.lookup(call.id) }));
    if (!found) return { answer: await call.fetch(), outcome: 'bypass' };
    const { stored } = found;
    if (stored && stored.ageMs < stored.freshMs) {
      near.put(call.id, stored, purges);
      return given(stored, 'hit');
    }
    if (stored && isStaleUsable(stored)) {
      refresh(call);
      return given(stored, 'stale');
    }
    return fill(call, { ...(stored && { stale: stored }) });
  };
}

/** How the answers of one installation are remembered: near for a moment, in Redis for all instances; the origin is asked once for many callers. */
export function createResponseCache(deps: ResponseCacheDeps): ResponseCache {
  const { near, owed, metrics } = deps;
  const answer = createAnswering(deps);
  const flights = new Map<string, Promise<CacheResult>>();

  const join = (call: CacheCall): { readonly flight: Promise<CacheResult>; readonly isFirst: boolean } => {
    const running = flights.get(call.id);
    if (running) return { flight: running, isFirst: false };
    const flight = answer(call).finally(() => {
      if (flights.get(call.id) === flight) flights.delete(call.id);
    });
    flights.set(call.id, flight);
    return { flight, isFirst: true };
  };

  const forget = (tags: readonly string[] | undefined): void => {
    near.purge(tags);
    // What was asked for before may be the old one: nobody joins it any more.
    flights.clear();
  };

  return {
    get: async (call) => {
      const here = near.get(call.id);
      if (here) {
        metrics.count(call.operation, 'near', here.ageMs);
        return given(here, 'near');
      }
      const { flight, isFirst } = join(call);
      const result = await flight;
      const outcome = !isFirst && result.outcome === 'miss' ? 'collapsed' : result.outcome;
      metrics.count(call.operation, outcome, result.ageMs);
      if (result.ageMs !== undefined) metrics.used(call.id);
      return outcome === result.outcome ? result : { ...result, outcome };
    },
    purge: async (tags) => {
      if (tags?.length === 0) return;
      forget(tags);
      metrics.purge(tags === undefined ? 'all' : 'tags');
      await owed.add(tags);
      // What was read from Redis just before it knew.
      forget(tags);
    },
  };
}
