import { InvalidVectorError, UnsupportedVectorServerError, VectorsUnavailableError } from '@millrace/vectors';
import { Pinecone } from '@pinecone-database/pinecone';
import type { Index } from '@pinecone-database/pinecone';

export interface PineconeOptions {
  readonly apiKey: string;
  /** A serverless index with metric cosine; its dimension is that of every model. */
  readonly index?: string;
  /** The index' own address; without it Pinecone is asked by the index' name. */
  readonly host?: string;
  /** What namespaces begin with: `<namespace>-<number>`, `<namespace>-<number>-rest`, `<namespace>-control`. */
  readonly namespace: string;
  /** Redis of the lease of the one writer. For administrators. */
  readonly lockUrl?: string;
  /** After which a call fails with VectorsUnavailableError. */
  readonly timeoutMs?: number;
  /** How long a reader goes by what it knows of which collection is live. Default 1,000. */
  readonly liveTtlMs?: number;
  /** How long a writer waits until it can read what it wrote. Default 15,000. */
  readonly freshMs?: number;
}

/** Connects when it is used. `signal` cancels what its requests wait for, and all that come later: the SDK itself takes none. */
export function connectPinecone({ apiKey, index, host, timeoutMs }: PineconeOptions, defaultTimeoutMs: number, signal?: AbortSignal): Index {
  const limitMs = timeoutMs ?? defaultTimeoutMs;
  const endsAt = (): AbortSignal => AbortSignal.any([AbortSignal.timeout(limitMs), ...(signal === undefined ? [] : [signal])]);
  const pinecone = new Pinecone({ apiKey, maxRetries: 2, fetchApi: (input, init) => fetch(input, { ...init, signal: endsAt() }) });
  return pinecone.index({ ...(index !== undefined && { name: index }), ...(host !== undefined && { host }) });
}

const ours = [VectorsUnavailableError, InvalidVectorError, UnsupportedVectorServerError, RangeError];

function sentenceFor(error: unknown): string {
  const name = error instanceof Error ? error.name : '';
  if (name === 'PineconeAuthorizationError') return 'Pinecone refused the key: look at PINECONE_API_KEY';
  if (name === 'PineconeNotFoundError') return 'Pinecone knows no such index: look at PINECONE_INDEX and PINECONE_HOST';
  if (name === 'PineconeConnectionError') return 'Pinecone cannot be reached';
  return `Pinecone did not do it: ${error instanceof Error ? error.message.slice(0, 300) : 'no reason was given'}`;
}

/** Runs a call: what it throws is a class of ours, with the SDK's own error as cause. */
export async function asking<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    if (ours.some((kind) => error instanceof kind)) throw error;
    throw new VectorsUnavailableError(sentenceFor(error), { cause: error });
  }
}
