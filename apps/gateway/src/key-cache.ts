import { AppError } from '@millrace/service';
import { LRUCache } from 'lru-cache';
import type { KeyOwner } from './key.repository.ts';

/** What is remembered of keys is forgotten: their next use asks the database. A lookup under way is not remembered either. */
export interface KeyMemory {
  forget(keyIds: ReadonlySet<string>): void;
  forgetAll(): void;
}

/** A revoked key works at most this much longer where nobody tells of it. */
const KNOWN_FOR_MS = 30_000;
const UNKNOWN_FOR_MS = 5_000;
/** While the database is away, what it last said of a key counts so long, unless a change of the key was heard of; then keys are refused rather than guessed. */
const TRUSTED_FOR_MS = 600_000;
/** Between two questions to a database that did not answer, for each key; nobody waits for them. */
const AGAIN_AFTER_MS = 1_000;

const MAX_KEYS = 10_000;
const REMEMBERED_FOR_MS = 3_600_000;
/** Keys that are looked up at once: guesses from many addresses must not pile up before a slow database. */
const MAX_ASKING = 1_000;

const cannotAsk = (cause: unknown): never => {
  throw new AppError('unavailable', 'keys cannot be checked now', { cause, headers: { 'Retry-After': '1' } });
};

interface Known { readonly owner: KeyOwner | undefined }
interface KnownOwner extends Known {
  readonly owner: KeyOwner;
  readonly saidAt: number;
  /** To be asked again from then on. */
  readonly until: number;
  /** The database could not be asked the last time. */
  readonly wasAway: boolean;
}

/** Those that the database has named, by the hash of their secret. */
function createOwners(now: () => number) {
  const owners = new LRUCache<string, KnownOwner>({ max: MAX_KEYS });
  const get = (hash: string): KnownOwner | undefined => {
    const known = owners.get(hash);
    return known && now() - known.saidAt < TRUSTED_FOR_MS ? known : undefined;
  };
  return {
    get,
    keep: (hash: string, owner: KeyOwner): void => void owners.set(hash, { owner, saidAt: now(), until: now() + KNOWN_FOR_MS, wasAway: false }),
    /** What was known before, where the database cannot be asked: from now on without waiting for it. */
    keepUnasked(hash: string, error: unknown): Known {
      const known = get(hash) ?? cannotAsk(error);
      owners.set(hash, { ...known, until: now() + AGAIN_AFTER_MS, wasAway: true });
      return known;
    },
    delete: (hash: string): void => void owners.delete(hash),
    forget(keyIds: ReadonlySet<string>): void {
      for (const [hash, { owner }] of owners.entries()) if (keyIds.has(owner.id)) owners.delete(hash);
    },
    clear: (): void => owners.clear(),
  };
}

/** Known owners by the hash of their secret. Asks once for many requests, also at once, and for secrets that do not exist. */
export function createKeyCache(findKeyOwner: (hash: string) => Promise<KeyOwner | undefined>, now: () => number): KeyMemory & { wasFound(hash: string): boolean; find(hash: string): Known | Promise<Known> } {
  const owners = createOwners(now);
  // Apart: guesses must not push out those who are known.
  const strangers = new LRUCache<string, Known>({ max: MAX_KEYS, ttl: UNKNOWN_FOR_MS });
  const found = new LRUCache<string, true>({ max: MAX_KEYS, ttl: REMEMBERED_FOR_MS });
  const asking = new Map<string, Promise<Known>>();
  let changes = 0;
  const ask = async (hash: string): Promise<Known> => {
    const before = changes;
    const owner = await findKeyOwner(hash);
    if (owner) found.set(hash, true);
    // What was read before a change may be what the change has ended.
    if (before !== changes) return { owner };
    if (owner) owners.keep(hash, owner);
    else {
      owners.delete(hash);
      strangers.set(hash, { owner });
    }
    return { owner };
  };
  const askOnce = (hash: string): Promise<Known> => {
    const running = asking.get(hash);
    if (running) return running;
    const asked = (asking.size < MAX_ASKING ? ask(hash) : Promise.reject(new Error(`${MAX_ASKING} keys are being looked up already`))).catch((error: unknown) => owners.keepUnasked(hash, error)).finally(() => {
      if (asking.get(hash) === asked) asking.delete(hash);
    });
    asking.set(hash, asked);
    return asked;
  };
  const changed = (): void => {
    changes += 1;
    asking.clear();
  };
  return {
    wasFound: (hash) => found.has(hash),
    find(hash) {
      const known = owners.get(hash);
      if (known && now() < known.until) return known;
      const stranger = strangers.get(hash);
      if (stranger) return stranger;
      const asked = askOnce(hash);
      if (!known?.wasAway) return asked;
      // Who is told without it needs no failure.
      asked.catch(() => undefined);
      return known;
    },
    forget(keyIds) {
      changed();
      owners.forget(keyIds);
    },
    forgetAll() {
      changed();
      owners.clear();
      strangers.clear();
    },
  };
}
