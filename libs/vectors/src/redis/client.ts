import { closeRedis, connectRedis, infoField, whenReady } from '@millrace/redis-kit';
import type { Redis, RedisRole } from '@millrace/redis-kit';
import { CollectionDroppedError, InvalidVectorError, UnsupportedVectorServerError, VectorsUnavailableError } from '../errors.ts';

export interface RedisVectorOptions {
  /** `redis://` or `redis-sentinel://` (with TLS: `rediss…`), database 0, of a server with the search module. Not a cluster. */
  readonly url: string;
  /** Name that readers search by: the index alias. */
  readonly alias: string;
  /** What the keys begin with; one for all that share a server. Default `product:embedding`. */
  readonly keyPrefix?: string;
  /** Also keep `<keyPrefix>:<sku>` equal to the live collection, for readers that know a product but no model. Default false. */
  readonly aliasKeys?: boolean;
  /** The graph of new collections, and how many candidates a search looks at. */
  readonly hnsw?: Partial<HnswOptions>;
  /** A search whose filter so many products pass, or fewer, compares with each of them instead of asking the graph. Default 5,000. */
  readonly exactUpTo?: number;
  /** Told of connection errors; the client reconnects by itself. */
  readonly onError?: (error: Error) => void;
}

/** HNSW as the search module names it: https://redis.io/docs/latest/develop/ai/search-and-query/vectors/ */
export interface HnswOptions { readonly m: number; readonly efConstruction: number; readonly efRuntime: number }

export const defaultHnsw: HnswOptions = { m: 16, efConstruction: 200, efRuntime: 100 };

export interface VectorRedis {
  readonly redis: Redis;
  /** Rejects where the server does not answer or cannot hold vectors; asks only until it has seen that it can. */
  check(): Promise<void>;
  close(): Promise<void>;
}

const firstWaitMs = 2_000;

/** Waits a moment for the server; one that is away is found out by the calls. Throws UnsupportedVectorServerError for one that can never serve. */
export async function connectVectorRedis({ url, onError }: RedisVectorOptions, role: RedisRole): Promise<VectorRedis> {
  const redis = connectRedis(url, { role, name: 'vectors', ...(onError && { onError }) });
  let isChecked = false;
  const check = async (): Promise<void> => {
    if (isChecked) return void (await redis.ping());
    await checkServer(redis);
    isChecked = true;
  };
  try {
    await whenReady(redis, firstWaitMs).then(check);
  } catch (error) {
    if (!(error instanceof UnsupportedVectorServerError)) return { redis, check, close: () => closeRedis(redis) };
    await closeRedis(redis);
    throw error;
  }
  return { redis, check, close: () => closeRedis(redis) };
}

async function checkServer(redis: Redis): Promise<void> {
  if ((await infoField(redis, 'redis_mode')) === 'cluster')
    throw new UnsupportedVectorServerError('vectors need a single Redis, or one behind Sentinel: this server is part of a cluster, whose search module works otherwise');
  try {
    await redis.call('FT._LIST');
  } catch (error) {
    if (isUnknownCommand(error)) throw missingModule(error);
    throw error;
  }
}

const isUnknownCommand = (error: unknown): boolean => messageOf(error).includes('unknown command');
const missingModule = (cause: unknown): Error =>
  new UnsupportedVectorServerError('vectors need Redis with its search module (Redis Stack 7.2 or later, or Redis 8): this server does not know FT.CREATE. Set VECTOR_REDIS_URL to one that does, or choose another VECTOR_STORE', { cause });

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** Runs a call: what it throws is a class of ours, with the server's own error as cause. */
export async function asking<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    if (isOurs(error)) throw error;
    if (isUnknownCommand(error)) throw missingModule(error);
    if (/no such index|unknown index/i.test(messageOf(error))) throw new VectorsUnavailableError('there is no such vector collection', { cause: error });
    throw new VectorsUnavailableError(`the Redis of the vectors did not answer: ${messageOf(error)}`, { cause: error });
  }
}

const ours = [VectorsUnavailableError, InvalidVectorError, CollectionDroppedError, UnsupportedVectorServerError, RangeError];
const isOurs = (error: unknown): boolean => ours.some((kind) => error instanceof kind);
