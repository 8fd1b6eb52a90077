import { AppError, hashApiKey, isApiKey } from '@millrace/service';
import { createKeyCache } from './key-cache.ts';
import type { KeyMemory } from './key-cache.ts';
import type { KeyOwner } from './key.repository.ts';

export interface AuthenticateKeyDeps {
  readonly findKeyOwner: (hash: string) => Promise<KeyOwner | undefined>;
  /** Under NODE_ENV=production development keys are refused. */
  readonly isProduction: boolean;
  /** Told of each use that was let in; must cost nothing. */
  readonly onUsed?: (keyId: string) => void;
  readonly now?: () => number;
}

/** Where the key stood. */
export interface KeyPlace { readonly in: 'headers' | 'query'; readonly pointer: string }
export type AuthenticateKey = (key: string | undefined, place?: KeyPlace) => Promise<KeyOwner>;

export interface KnownKeys {
  /** Was it valid here within the last hour? Says nothing of now: only that it is worth a lookup. */
  isKnown(key: string): boolean;
}

const HEADER: KeyPlace = { in: 'headers', pointer: '/x-api-key' };

const refused = (place: KeyPlace): AppError => new AppError('unauthenticated', 'this API key is not known, or not any more', { details: [{ ...place, detail: 'is not a valid key' }] });

/**
 * Who sent this key. Throws unauthenticated, and unavailable where a key that is not remembered cannot be looked up. Nothing is compared with a secret: its SHA-256 is looked up. Expiry is looked at in each use, so a key ends
 * on time although it is remembered: for 30 s, and while the database is away for ten minutes at most.
 */
export function createAuthenticateKey({ findKeyOwner, isProduction, onUsed = () => undefined, now = Date.now }: AuthenticateKeyDeps): AuthenticateKey & KeyMemory & KnownKeys {
  const cache = createKeyCache(findKeyOwner, now);
  const authenticate: AuthenticateKey = async (key, place = HEADER) => {
    if (key === undefined) throw new AppError('unauthenticated', 'send your API key in the header X-Api-Key', { details: [{ ...place, detail: 'is required' }] });
    if (!isApiKey(key)) throw refused(place);
    const found = cache.find(hashApiKey(key));
    const { owner } = found instanceof Promise ? await found : found;
    if (!owner || (owner.isDevelopment && isProduction) || (owner.expiresAtMs !== undefined && owner.expiresAtMs <= now())) throw refused(place);
    onUsed(owner.id);
    return owner;
  };
  return Object.assign(authenticate, { forget: (keyIds: ReadonlySet<string>) => cache.forget(keyIds), forgetAll: () => cache.forgetAll(), isKnown: (key: string) => isApiKey(key) && cache.wasFound(hashApiKey(key)) });
}
