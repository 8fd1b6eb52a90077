import { readFileSync } from 'node:fs';
import { Client, errors } from '@elastic/elasticsearch';
import { SearchUnavailableError } from '../errors.ts';

export interface ElasticsearchOptions {
  readonly node: string;
  /** Readers and the live index share this name; physical indexes are `<alias>-<n>`. */
  readonly alias: string;
  readonly apiKey?: string;
  /** PEM file of the certificate authority, where the system's do not know it. */
  readonly caFile?: string;
}

export const connect = ({ node, apiKey, caFile }: ElasticsearchOptions, { timeoutMs, retries }: { timeoutMs: number; retries: number }): Client =>
  new Client({
    node,
    maxRetries: retries,
    requestTimeout: timeoutMs,
    ...(apiKey === undefined ? {} : { auth: { apiKey } }),
    ...(caFile === undefined ? {} : { tls: { ca: readFileSync(caFile) } }),
  });

export const statusOf = (error: unknown): number | undefined => (error instanceof errors.ResponseError ? error.statusCode : undefined);

/** The engine's state, not the request's fault. */
export const isUnavailable = (status: number): boolean => status === 401 || status === 403 || status === 404 || status === 429 || status >= 500;

/** An error inside of an answer to several requests. */
export const errorOf = (status: number, reason: string): Error => (isUnavailable(status) ? new SearchUnavailableError(reason) : new Error(reason));

/** Turns "cannot answer now" (no connection, too slow, no index, overloaded) into SearchUnavailableError; other errors are bugs and pass. */
export async function available<T>(request: Promise<T>): Promise<T> {
  try {
    return await request;
  } catch (error) {
    const status = statusOf(error);
    const isDown = error instanceof errors.ConnectionError || error instanceof errors.TimeoutError || error instanceof errors.NoLivingConnectionsError;
    if (status === 404) throw new SearchUnavailableError('there is no search index yet', { cause: error });
    // Something else answers under that address, or an engine of another kind.
    if (error instanceof errors.ProductNotSupportedError) throw new SearchUnavailableError(`this is no Elasticsearch: ${error.message}`, { cause: error });
    if (isDown || (status !== undefined && isUnavailable(status))) {
      throw new SearchUnavailableError(`elasticsearch does not answer: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
    }
    throw error;
  }
}
