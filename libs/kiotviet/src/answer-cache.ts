import { createHash, randomUUID } from 'node:crypto';
import type { Keys, Redis } from '@millrace/redis-kit';
import { z } from 'zod';

export interface AnswerCache {
  /** What is kept, or undefined (also where the cache cannot be asked). `epoch`: to be handed to `set`. */
  get(endpoint: string, params: string): Promise<{ readonly value: unknown; readonly epoch: string | undefined }>;
  /** Keeps it, unless everything of the endpoint was dropped since `epoch` was read. Never rejects. */
  set(endpoint: string, params: string, entry: { readonly value: unknown; readonly epoch: string | undefined; readonly keepMs: number }): Promise<void>;
  /** Makes everything stale that is kept of these endpoints, also what is on its way into the cache. Never rejects: where the cache is away it is owed, and until then this instance gives nothing of theirs from it. */
  drop(endpoints: readonly string[]): Promise<void>;
}

export interface AnswerCacheDeps {
  /** A `request` connection to the cache Redis. */
  readonly redis: Redis;
  readonly keys: Keys;
  /** Whose answers: another shop or client has others. */
  readonly account: string;
  readonly onFailure: (error: unknown) => void;
}

const entrySchema = z.object({ epoch: z.string(), value: z.unknown() });
const EPOCH_MS = 86_400_000;

const parse = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
};

/** Answers of the POS that hold no people, in the cache Redis. An answer carries the epoch of its endpoint: another epoch makes it stale, whenever it was written. */
export function createAnswerCache({ redis, keys, account, onFailure }: AnswerCacheDeps): AnswerCache {
  const keyOf = (endpoint: string, params: string): string => keys.posCache(endpoint, createHash('sha256').update(`${account}\n${params}`).digest('hex').slice(0, 32));
  const epochKey = (endpoint: string): string => keys.posCacheEpoch(endpoint);
  /** Endpoints whose answers could not be made stale. */
  const owed = new Set<string>();
  const dropOne = async (endpoint: string): Promise<void> => {
    owed.delete(endpoint);
    try {
      await redis.set(epochKey(endpoint), randomUUID(), 'PX', EPOCH_MS);
    } catch (error) {
      owed.add(endpoint);
      throw error;
    }
  };
  return {
    async get(endpoint, params) {
      try {
        if (owed.has(endpoint)) await dropOne(endpoint);
        const [known, text] = await Promise.all([redis.get(epochKey(endpoint)), redis.get(keyOf(endpoint, params))]);
        const epoch = known ?? randomUUID();
        if (known === null) await redis.set(epochKey(endpoint), epoch, 'PX', EPOCH_MS, 'NX');
        const entry = entrySchema.safeParse(text === null ? undefined : parse(text));
        return { value: entry.success && entry.data.epoch === known ? entry.data.value : undefined, epoch };
      } catch (error) {
        onFailure(error);
        return { value: undefined, epoch: undefined };
      }
    },
    async set(endpoint, params, { value, epoch, keepMs }) {
      if (epoch === undefined) return;
      await redis.set(keyOf(endpoint, params), JSON.stringify({ epoch, value }), 'PX', keepMs).catch(onFailure);
    },
    async drop(endpoints) {
      await Promise.all(endpoints.map((endpoint) => dropOne(endpoint).catch(onFailure)));
    },
  };
}

/** With caches off: nothing is kept. */
export const noAnswerCache: AnswerCache = { get: async () => ({ value: undefined, epoch: undefined }), set: async () => undefined, drop: async () => undefined };
