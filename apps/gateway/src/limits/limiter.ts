import type { Redis } from '@millrace/redis-kit';
import { LRUCache } from 'lru-cache';
import { RateLimiterRedis, RateLimiterRes } from 'rate-limiter-flexible';
import { stepLocally, takeFromRedis } from './gcra.ts';
import type { Charge, Rate, Taken, TakenTogether } from './gcra.ts';
import { createLeases } from './leases.ts';
import type { Limit } from './limit-table.ts';
import type { AskRedis } from './redis-guard.ts';

/** One limit that a call counts against, and whose. Those of kind `refill` of one call share the hash tag of their keys. */
export interface Ask {
  readonly limit: Limit;
  readonly key: string;
  readonly cost: number;
}

/** How much is left of a limit, and when there will be more. */
export interface LimitState {
  readonly limit: Limit;
  readonly remaining: number;
  readonly moreInMs: number;
}

/** `leased`, `memory`: Redis was not asked. `local`: it could not be, and the limit is this instance's share. */
export type DecidedBy = 'leased' | 'redis' | 'memory' | 'local';

export interface Verdict {
  readonly isAdmitted: boolean;
  readonly by: DecidedBy;
  /** Of a refusal those of the limits that refuse: Retry-After is not earlier than any of them ends. */
  readonly states: readonly LimitState[];
  /** Of the limits that refuse the one with the longest wait: its `moreInMs` is the time until the call would be admitted. */
  readonly refusedBy: LimitState | undefined;
}

export interface Limiter {
  /** Never rejects, and answers within about 50 ms for each kind of limit, whatever Redis does. */
  take(asks: readonly Ask[]): Promise<Verdict>;
}

export interface LimiterDeps {
  readonly redis: Redis;
  readonly askRedis: AskRedis;
  /** Gateways that share the limits. */
  readonly instances: () => number;
  /** By which leases end. Default: performance.now. */
  readonly now?: () => number;
}

const CALLERS = 10_000;
const LEASE_SHARE = 0.02;

const intervalOf = ({ quota, windowSeconds }: Limit): number => (windowSeconds * 1_000_000) / quota;
const rateOf = (limit: Limit): Rate => ({ burst: limit.quota, intervalUs: intervalOf(limit) });
/** Units that are leased, and those that have come back at Redis since, are together no more than the quota. */
const toState = (limit: Limit, { isAdmitted, remaining, waitMs }: Taken): LimitState => ({ limit, remaining: Math.min(remaining, limit.quota), moreInMs: isAdmitted ? intervalOf(limit) / 1_000 : waitMs });

const slowest = (states: readonly LimitState[]): LimitState | undefined => states.toSorted((a, b) => b.moreInMs - a.moreInMs)[0];

const toVerdict = (by: DecidedBy, asks: readonly Ask[], taken: readonly Taken[]): Verdict => {
  const states = asks.flatMap(({ limit }, at) => { const one = taken[at]; return one ? [toState(limit, one)] : []; });
  if (taken.every(({ isAdmitted }) => isAdmitted)) return { by, states, isAdmitted: true, refusedBy: undefined };
  const refusing = states.filter((_state, at) => taken[at]?.isAdmitted === false);
  return { by, states: refusing.length === 0 ? states : refusing, isAdmitted: refusing.length === 0, refusedBy: slowest(refusing) };
};

/** Refusals until their time comes, so that whoever calls on and on costs Redis nothing. */
function createRefusals() {
  const refusals = new LRUCache<string, { readonly state: LimitState; readonly until: number }>({ max: CALLERS });
  const nameOf = ({ key, cost }: Ask): string => `${cost} ${key}`;
  return {
    of(asks: readonly Ask[]): Verdict | undefined {
      if (refusals.size === 0) return undefined;
      const at = performance.now();
      const found = asks.flatMap((ask) => refusals.get(nameOf(ask)) ?? []).filter(({ until }) => until > at);
      const state = slowest(found.map((one) => ({ ...one.state, moreInMs: one.until - at })));
      return state && { isAdmitted: false, by: 'memory', states: [state], refusedBy: state };
    },
    keep(asks: readonly Ask[], { refusedBy }: Verdict): void {
      const ask = refusedBy && asks.find(({ limit }) => limit === refusedBy.limit);
      if (ask && refusedBy) refusals.set(nameOf(ask), { state: refusedBy, until: performance.now() + refusedBy.moreInMs });
    },
  };
}

/** This instance's share of the limits, for as long as Redis does not answer. */
function createLocalLimits(instances: () => number) {
  const tats = new LRUCache<string, number>({ max: CALLERS });
  return (asks: readonly Ask[]): Verdict => {
    const nowUs = performance.now() * 1_000;
    const steps = asks.map(({ limit, key, cost }) => {
      const { burst, intervalUs } = rateOf(limit);
      return stepLocally(tats.get(key), nowUs, { cost, intervalUs: intervalUs * instances(), burst: Math.max(cost, Math.floor(burst / instances())) });
    });
    if (steps.every(({ isAdmitted }) => isAdmitted)) steps.forEach(({ tat }, at) => tats.set(asks[at]?.key ?? '', tat));
    return toVerdict('local', asks, steps);
  };
}

/** Quotas by fixed windows: the window of a key begins with its first call and is as long for all instances. */
function createWindows({ redis, askRedis }: LimiterDeps) {
  const limiters = new Map<Limit, RateLimiterRedis>();
  const limiterOf = (limit: Limit): RateLimiterRedis => {
    const limiter = limiters.get(limit) ?? new RateLimiterRedis({ storeClient: redis, keyPrefix: '', points: limit.quota, duration: limit.windowSeconds });
    limiters.set(limit, limiter);
    return limiter;
  };
  const consume = async ({ limit, key, cost }: Ask): Promise<{ readonly isAdmitted: boolean; readonly result: RateLimiterRes }> => {
    try {
      return { isAdmitted: true, result: await limiterOf(limit).consume(key, cost) };
    } catch (error) {
      if (error instanceof RateLimiterRes) return { isAdmitted: false, result: error };
      throw error;
    }
  };
  return async (ask: Ask): Promise<Verdict | undefined> => {
    const found = await askRedis(() => consume(ask));
    if (!found) return undefined;
    const state = { limit: ask.limit, remaining: found.result.remainingPoints, moreInMs: found.result.msBeforeNext };
    return { isAdmitted: found.isAdmitted, by: 'redis', states: [state], refusedBy: found.isAdmitted ? undefined : state };
  };
}

const toCharge = (leases: ReturnType<typeof createLeases>) => ({ limit, key, cost }: Ask): Charge => ({
  ...rateOf(limit), key, cost, lease: limit.isStrict === true ? 0 : leases.wish(key, cost, Math.floor(limit.quota * LEASE_SHARE)),
});

/** What the call `at` of several gets: of those that were let in each has left what those after it take. */
const takenBy = ({ admitted, taken }: TakenTogether, charges: readonly Charge[], at: number): readonly Taken[] =>
  at >= admitted ? taken : taken.map((one, of) => ({ ...one, isAdmitted: true, waitMs: 0, remaining: one.remaining + (admitted - 1 - at) * (charges[of]?.cost ?? 0) }));

const NOTHING_ASKED: Verdict = { isAdmitted: true, by: 'leased', states: [], refusedBy: undefined };

/** Limits over all instances. Limits by GCRA are asked first, all in one step; then quotas by window. A call that one of them refuses may have taken of those before it. */
export function createLimiter(deps: LimiterDeps): Limiter {
  const { redis, askRedis, instances } = deps;
  const refusals = createRefusals();
  const leases = createLeases(deps.now);
  const takeLocally = createLocalLimits(instances);
  const takeWindow = createWindows(deps);

  const askTogether = async (asks: readonly Ask[], waiting: readonly ((verdict: Verdict) => void)[]): Promise<void> => {
    const charges = asks.map(toCharge(leases));
    const found = await askRedis(() => takeFromRedis(redis, charges, waiting.length));
    leases.settle(charges, found?.admitted === waiting.length ? found.taken : undefined);
    waiting.forEach((tell, at) => tell(found ? toVerdict('redis', asks, takenBy(found, charges, at)) : takeLocally(asks)));
  };
  const together = new Map<string, { readonly asks: readonly Ask[]; readonly waiting: ((verdict: Verdict) => void)[] }>();
  const askAll = (): void => {
    const groups = [...together.values()];
    together.clear();
    for (const { asks, waiting } of groups) void askTogether(asks, waiting);
  };
  /** Calls of one caller that come in the same turn of the event loop are one question. */
  const takeOfAll = (asks: readonly Ask[]): Promise<Verdict> => new Promise((resolve) => {
    let name = '';
    for (const { key, cost } of asks) name += `${cost} ${key}\n`;
    if (together.size === 0) setImmediate(askAll);
    const group = together.get(name);
    if (group) group.waiting.push(resolve);
    else together.set(name, { asks, waiting: [resolve] });
  });
  const takeRefill = async (asks: readonly Ask[]): Promise<Verdict> => {
    if (asks.length === 0) return NOTHING_ASKED;
    const leased = leases.take(asks);
    return leased ? toVerdict('leased', asks, leased) : await takeOfAll(asks);
  };

  return {
    async take(asks) {
      const remembered = refusals.of(asks);
      if (remembered) return remembered;
      const refill = asks.filter(({ limit }) => limit.kind === 'refill');
      let verdict = await takeRefill(refill);
      for (const ask of asks.filter(({ limit }) => limit.kind === 'window')) {
        if (!verdict.isAdmitted) break;
        const next = (await takeWindow(ask)) ?? takeLocally([ask]);
        verdict = { ...next, by: next.by === 'local' || verdict.by === 'local' ? 'local' : next.by, states: next.isAdmitted ? [...verdict.states, ...next.states] : next.states };
      }
      if (verdict.by !== 'local') refusals.keep(asks, verdict);
      return verdict;
    },
  };
}
