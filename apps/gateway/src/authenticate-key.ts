import { AppError, hashApiKey, isApiKey } from '@millrace/service';
import { LRUCache } from 'lru-cache';
import type { KeyOwner } from './key.repository.ts';

export interface AuthenticateKeyDeps {
  readonly findKeyOwner: (hash: string) => Promise<KeyOwner | undefined>;
  /** Under NODE_ENV=production development keys are refused. */
  readonly isProduction: boolean;
}

/** Where the key stood. */
export interface KeyPlace { readonly in: 'headers' | 'query'; readonly pointer: string }
export type AuthenticateKey = (key: string | undefined, place?: KeyPlace) => Promise<KeyOwner>;

const HEADER: KeyPlace = { in: 'headers', pointer: '/x-api-key' };

/** A revoked key works at most this much longer. */
const KNOWN_FOR_MS = 30_000;
const UNKNOWN_FOR_MS = 5_000;

/** Who sent this key. Throws unauthenticated; asks the database once for many requests, also for keys that do not exist. */
export function createAuthenticateKey({ findKeyOwner, isProduction }: AuthenticateKeyDeps): AuthenticateKey {
  const owners = new LRUCache<string, { owner: KeyOwner | undefined }>({ max: 10_000 });
  return async (key, place = HEADER) => {
    if (key === undefined) throw new AppError('unauthenticated', 'send your API key in the header X-Api-Key', { details: [{ ...place, detail: 'is required' }] });
    const hash = hashApiKey(key);
    let known = isApiKey(key) ? owners.get(hash) : { owner: undefined };
    if (!known) {
      known = { owner: await findKeyOwner(hash) };
      owners.set(hash, known, { ttl: known.owner ? KNOWN_FOR_MS : UNKNOWN_FOR_MS });
    }
    const { owner } = known;
    if (!owner || (owner.isDevelopment && isProduction)) throw new AppError('unauthenticated', 'this API key is not known, or not any more', { details: [{ ...place, detail: 'is not a valid key' }] });
    return owner;
  };
}
