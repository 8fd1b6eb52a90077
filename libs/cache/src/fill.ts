import { setTimeout as pause } from 'node:timers/promises';
import type { Answer } from './answer.ts';
import type { CacheMetrics } from './cache-metrics.ts';
import type { NearCache } from './near-cache.ts';
import type { RedisSwitch } from './redis-switch.ts';
import type { CacheCall, CacheResult } from './response-cache.ts';
import type { Leave, SharedStore, Stored } from './shared-store.ts';

export interface FillDeps {
  readonly store: SharedStore;
  readonly redis: RedisSwitch;
  readonly near: NearCache;
  readonly metrics: CacheMetrics & { readonly used: (id: string) => void };
  /** A lock whose holder is dead ends after so long; a living one renews it. */
  readonly lockMs: number;
  /** Longest wait for another instance's answer, then the origin is asked all the same. */
  readonly maxWaitMs: number;
  /** From 0 to below 1: spreads the ends of answers that were stored at once. */
  readonly random: () => number;
  /** An answer that was stale could not be replaced; the stale one was given. */
  readonly onRefreshFailed: (error: unknown, operation: string) => void;
}

export interface FillOptions {
  /** Nobody waits: where another instance is asking already there is nothing to do. */
  readonly isBackground?: boolean;
  /** What may be given where the origin fails. */
  readonly stale?: Stored;
}

const FIRST_PAUSE_MS = 4;
const LONGEST_PAUSE_MS = 64;
/** Answers are fresh for 90 to 100 % of what was asked for. */
const JITTER = 0.1;

const isStored = (found: Stored | Leave): found is Stored => 'answer' in found;

const mayStandIn = (stale: Stored | undefined): stale is Stored => stale !== undefined && stale.ageMs < stale.freshMs + stale.staleIfErrorMs;

const standIn = (stale: Stored): CacheResult => ({ answer: stale.answer, outcome: 'stale_error', ageMs: stale.ageMs, ttlMs: stale.freshMs - stale.ageMs });

/** A fresh answer that another instance has stored meanwhile, leave to ask, or undefined: Redis is away, or there is nothing to do. */
const createWaitForTurn = ({ store, redis, lockMs, maxWaitMs, random }: FillDeps) => async (id: string, isBackground: boolean): Promise<Stored | Leave | undefined> => {
  const untilMs = performance.now() + maxWaitMs;
  for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(LONGEST_PAUSE_MS, 2 * pauseMs)) {
    const isLast = performance.now() >= untilMs;
    const turn = await redis.attempt(async () => ({ found: await store.begin(id, isLast ? 0 : lockMs) }));
    if (!turn || turn.found || isBackground) return turn?.found;
    await pause(pauseMs * (0.5 + random() / 2));
  }
};

/** Asks the origin for what is missing, one instance at a time, and stores the answer. */
export function createFill(deps: FillDeps): (call: CacheCall, options: FillOptions) => Promise<CacheResult> {
  const { store, redis, metrics, lockMs, random } = deps;
  const waitForTurn = createWaitForTurn(deps);

  /** The lock is kept for as long as the origin takes. */
  const fetchUnderLock = async ({ id, fetch }: CacheCall, leave: Leave): Promise<Answer | undefined> => {
    const renewal = setInterval(() => void redis.attempt(async () => ({ held: await store.hold(id, leave, lockMs) })), lockMs / 3);
    try {
      return await fetch();
    } finally {
      clearInterval(renewal);
    }
  };

  const giveBack = (id: string, leave: Leave): void => void redis.attempt(async () => ({ held: await store.hold(id, leave, 0) }));

  const keep = async ({ id, keep: keepingOf }: CacheCall, answer: Answer | undefined, leave: Leave): Promise<boolean> => {
    const keeping = answer === undefined || answer.status >= 500 ? undefined : keepingOf(answer);
    if (answer === undefined || keeping === undefined) {
      metrics.fill(id, 'not_kept');
      giveBack(id, leave);
      return false;
    }
    const { staleWhileRevalidateMs = 0, staleIfErrorMs = 0, tags } = keeping;
    const freshMs = keeping.freshMs * (1 - JITTER * random());
    const result = await redis.attempt(async () => ({ isDone: await store.store(id, leave, { answer, tags, freshMs, staleWhileRevalidateMs, staleIfErrorMs }) }));
    metrics.fill(id, result === undefined ? 'failed' : result.isDone ? 'stored' : 'dropped', result?.isDone === true ? freshMs + Math.max(staleWhileRevalidateMs, staleIfErrorMs) : undefined);
    if (!result) giveBack(id, leave);
    return result?.isDone === true;
  };

  return async (call, { isBackground = false, stale }) => {
    const purges = deps.near.purges();
    const turn = await waitForTurn(call.id, isBackground);
    if (turn && isStored(turn)) {
      deps.near.put(call.id, turn, purges);
      return { answer: turn.answer, outcome: 'hit', ageMs: turn.ageMs, ttlMs: turn.freshMs - turn.ageMs };
    }
    if (!turn && isBackground) return { answer: undefined, outcome: 'bypass' };
    try {
      const answer = turn ? await fetchUnderLock(call, turn) : await call.fetch();
      const isKept = turn !== undefined && (await keep(call, answer, turn));
      if (answer !== undefined && answer.status >= 500 && mayStandIn(stale)) return standIn(stale);
      return { answer, outcome: 'miss', isStored: isKept };
    } catch (error) {
      if (turn) giveBack(call.id, turn);
      if (mayStandIn(stale)) return standIn(stale);
      throw error;
    }
  };
}
