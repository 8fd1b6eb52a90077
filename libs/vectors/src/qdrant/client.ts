import { QdrantClient } from '@qdrant/js-client-rest';
import { CollectionDroppedError, InvalidVectorError, VectorsUnavailableError } from '../errors.ts';

export interface QdrantOptions {
  /** Address of the REST interface, Qdrant 1.16 or later (conditional updates). */
  readonly url: string;
  readonly apiKey?: string;
  /** Name that readers search by; the physical collections are `<alias>-<n>`. */
  readonly alias: string;
  /** Of collections made from now on, as Qdrant's own settings: https://qdrant.tech/documentation/guides/distributed_deployment/ */
  readonly shards?: number;
  readonly replicationFactor?: number;
  readonly writeConsistencyFactor?: number;
  /** After which a call fails with VectorsUnavailableError; the client's own default is 300 s. */
  readonly timeoutMs?: number;
}

export function connectQdrant({ url, apiKey, timeoutMs }: QdrantOptions, defaultTimeoutMs: number): QdrantClient {
  return new QdrantClient({
    url,
    ...(apiKey === undefined ? {} : { apiKey }),
    timeout: timeoutMs ?? defaultTimeoutMs,
    // Compressed answers above 1.5 KB stalled for 40 ms.
    headers: { 'accept-encoding': 'identity' },
    checkCompatibility: false,
  });
}

/** HTTP status of a refused request; undefined where there was no answer. */
export function statusOf(error: unknown): number | undefined {
  if (typeof error !== 'object' || error === null || !('status' in error)) return undefined;
  return typeof error.status === 'number' ? error.status : undefined;
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** Runs a call for a reader or an administrator: what it throws is a class of ours, with Qdrant's own error as cause. */
export async function asking<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    if (error instanceof VectorsUnavailableError || error instanceof InvalidVectorError) throw error;
    if (statusOf(error) === 404) throw new VectorsUnavailableError('there is no such vector collection', { cause: error });
    if (statusOf(error) === 400) throw new InvalidVectorError(`Qdrant refused the request: ${messageOf(error)}`, { cause: error });
    throw new VectorsUnavailableError(`Qdrant did not answer: ${messageOf(error)}`, { cause: error });
  }
}

/** As `asking`, for a writer: its collection is gone when Qdrant does not know it. */
export async function writing<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await asking(call);
  } catch (error) {
    if (error instanceof VectorsUnavailableError && statusOf(error.cause) === 404) throw new CollectionDroppedError('the vector collection was dropped', { cause: error.cause });
    throw error;
  }
}
