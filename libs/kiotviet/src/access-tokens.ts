import { setTimeout as delay } from 'node:timers/promises';
import { withLease } from '@millrace/redis-kit';
import { AppError } from '@millrace/service';
import { posTimeout, posUnauthorized, posUnavailable } from './errors.ts';
import { createTokenStore, secretHash } from './token-store.ts';
import type { Known, TokenStore, TokenStoreDeps } from './token-store.ts';

/** What the token endpoint said. */
export type TokenAnswer = { readonly token: string; readonly seconds: number } | { readonly refused: string };

export interface AccessTokensDeps extends TokenStoreDeps {
  /** Asks the token endpoint. Rejects with a pos error where it cannot be asked. */
  readonly ask: () => Promise<TokenAnswer>;
  readonly onEvent?: (event: 'refreshed' | 'adopted' | 'refused') => void;
  /** A token that is refused so soon after it was made will not get better by another one. Default 5 s. */
  readonly youngMs?: number;
}

export interface TokenState { readonly keyId: string; readonly expiresInSeconds: number }

export interface AccessTokens {
  /** A token that is good for a while. `rejected`: the one that the API has just refused; it is not given again. Rejects with pos_unauthorized, pos_unavailable, pos_timeout, or unavailable (Redis). */
  get(rejected?: string): Promise<string>;
  /** Of what this instance knows. */
  state(): TokenState | undefined;
}

const LEASE_MS = 15_000;
const WAIT_MS = 12_000;
const REFUSED_FOR_MS = 10_000;
const FAILED_FOR_MS = 1_000;
const SECOND_TRY_MS = 200;

type IsWanted = (known: Known) => boolean;

/** Under the lease: what another instance has kept meanwhile, else a new token. A refusal is followed by a second try, and deletes nothing. */
async function refresh(store: TokenStore, deps: AccessTokensDeps, isWanted: IsWanted, isLast = false): Promise<Known> {
  const { ask, logger, onEvent } = deps;
  const stored = await store.read();
  if (stored.known && isWanted(stored.known)) return stored.known;
  const answer = await ask();
  if ('token' in answer) {
    const { known, isOurs } = await store.keep(answer.token, answer.seconds, stored.raw);
    onEvent?.(isOurs ? 'refreshed' : 'adopted');
    return known;
  }
  onEvent?.('refused');
  logger.warn({ refusal: answer.refused, isLast }, 'the point of sale gave no access token');
  if (!isLast) {
    await delay(SECOND_TRY_MS);
    return refresh(store, deps, isWanted, true);
  }
  const now = await store.read();
  if (now.known && isWanted(now.known)) return now.known;
  throw posUnauthorized(answer.refused);
}

interface SearchDeps {
  readonly store: TokenStore;
  readonly underLease: (isWanted: IsWanted) => Promise<Known | undefined>;
  readonly youngMs: number;
  readonly onAdopted: () => void;
}

/** What is kept, else what is made under the lease, by us or by who has it. */
async function search({ store, underLease, youngMs, onAdopted }: SearchDeps, rejected: string | undefined): Promise<Known> {
  const deadline = performance.now() + WAIT_MS;
  const isWanted: IsWanted = ({ token }) => token !== rejected;
  for (;;) {
    const { known } = await store.read();
    if (known && isWanted(known)) {
      onAdopted();
      return known;
    }
    if (known && known.ttlMs - (known.untilMs - performance.now()) < youngMs) throw posUnauthorized('a token that it has just given is refused');
    const found = await underLease(isWanted);
    if (found) return found;
    if (performance.now() > deadline) throw posTimeout(WAIT_MS);
    await delay(20 + Math.random() * 30);
  }
}

/**
 * One access token for all instances. Who finds none, or only the one that was refused, takes a lease and asks; the others wait for what the winner keeps.
 * Shortly before its end it is replaced in the background, by one of all. A failure is answered to everybody for a moment instead of being repeated.
 */
export function createAccessTokens(deps: AccessTokensDeps): AccessTokens {
  const { redis, keys, clientId, clientSecret, logger, onEvent = () => undefined, youngMs = 5_000 } = deps;
  const store = createTokenStore(deps);
  const lease = { redis, keys: keys.lease(`kv_token:${clientId}:${secretHash(clientId, clientSecret)}`), ttlMs: LEASE_MS };
  let memory: Known | undefined;
  let finding: Promise<Known> | undefined;
  let ahead: Promise<unknown> | undefined;
  let failure: { readonly error: AppError; readonly untilMs: number } | undefined;

  const fail = (cause: unknown): AppError => {
    const error = cause instanceof AppError ? cause : posUnavailable('its access token could not be asked for', cause, 2_000);
    failure = { error, untilMs: performance.now() + (error.code === 'pos_unauthorized' ? REFUSED_FOR_MS : FAILED_FOR_MS) };
    return error;
  };
  const underLease = (isWanted: IsWanted): Promise<Known | undefined> => withLease(lease, () => refresh(store, deps, isWanted));
  const find = async (rejected: string | undefined): Promise<Known> => {
    if (failure !== undefined && performance.now() < failure.untilMs) throw failure.error;
    memory = await search({ store, underLease, youngMs, onAdopted: () => onEvent('adopted') }, rejected).catch((error: unknown) => {
      throw fail(error);
    });
    failure = undefined;
    return memory;
  };
  const renewAhead = async (current: Known): Promise<void> => {
    try {
      const found = await underLease(({ token, ttlMs, untilMs }) => token !== current.token && untilMs - performance.now() > ttlMs / 10);
      if (found) memory = found;
      // Another one is at it.
      else await delay(SECOND_TRY_MS);
    } catch (err) {
      logger.warn({ err }, 'the access token of the point of sale could not be replaced ahead of its end, it will be tried again');
      await delay(FAILED_FOR_MS);
    }
  };
  return {
    async get(rejected) {
      if (memory !== undefined && memory.token !== rejected && memory.untilMs > performance.now()) {
        if (memory.untilMs - performance.now() < Math.min(memory.ttlMs / 10, 600_000)) ahead ??= renewAhead(memory).finally(() => { ahead = undefined; });
        return memory.token;
      }
      // Who comes while another one's search goes on may have been refused another token.
      for (let round = 0; round < 3; round += 1) {
        finding ??= find(rejected).finally(() => { finding = undefined; });
        const { token } = await finding;
        if (token !== rejected) return token;
      }
      throw posUnauthorized('each token that is known is refused');
    },
    state: () => (memory === undefined || memory.untilMs < performance.now() ? undefined : { keyId: memory.keyId, expiresInSeconds: Math.round((memory.untilMs - performance.now()) / 1_000) }),
  };
}
