import type { VectorReader } from '../ports.ts';
import { createThread } from './thread.ts';

export interface EmbeddedVectorReaderOptions {
  /** The directory that embedding-worker writes; it may not exist yet. */
  readonly directory: string;
  /** After which a call fails with VectorsUnavailableError. */
  readonly queryTimeoutMs?: number;
}

/**
 * Exact nearest neighbours from an in-memory copy in a thread of its own, which takes over every commit of any process before it answers.
 * Without a live collection `model` is undefined and the rest rejects with VectorsUnavailableError; it works as soon as there is one.
 */
export const openEmbeddedVectorReader = async (options: EmbeddedVectorReaderOptions): Promise<VectorReader> => openEmbeddedReader(options);

/** Of the live collection, or always of the given one: such a reader is a tool's, loads what it needs when it is asked first, and waits for it however long it takes. */
export function openEmbeddedReader({ directory, queryTimeoutMs = 2_000, collection }: EmbeddedVectorReaderOptions & { readonly collection?: string }): VectorReader {
  const thread = createThread({ url: workerUrl(import.meta.url), workerData: { directory, collection }, timeoutMs: queryTimeoutMs });
  const options = { isPatient: collection !== undefined };
  // The first load happens now instead of in the first request. What is wrong with the files, that request will say.
  if (collection === undefined) thread.ask('warm', {}, { isPatient: true }).catch(() => undefined);
  return {
    exact: true,
    model: async () => (await thread.ask('model', {}, options)) ?? undefined,
    get: async (sku) => (await thread.ask('get', { sku }, options)) ?? undefined,
    nearest: (vector, query) => thread.ask('nearest', { vector, query }, options),
    close: () => thread.close(),
  };
}

/** From source the worker is a file beside this one; in a bundle it is beside the main file. */
const workerUrl = (self: string): URL => (self.endsWith('.ts') ? new URL('./worker.ts', self) : new URL('./embedded-vectors-worker.js', self));
