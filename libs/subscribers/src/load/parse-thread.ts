import { Worker } from 'node:worker_threads';
import { LoadRefusedError } from '../errors.ts';
import type { BadRow, ParseReply, ParseRequest, ParseSummary } from './protocol.ts';

/** Whoever takes what the thread finds; the thread waits while `onRows` has not resolved. */
export interface ParsedRows {
  readonly onRows: (copy: Buffer, progress: { readonly rows: number; readonly bytes: number }) => Promise<void>;
  readonly onBad: (rows: readonly BadRow[]) => void;
}

// Bundles hold main.js and the worker side by side; from source the worker is a TypeScript file beside this one.
const workerUrl = new URL(import.meta.url.endsWith('.ts') ? './parse-worker.ts' : './subscriber-file-worker.js', import.meta.url);

/** Memory of the thread: a file whose pieces need more is refused by the thread's end, not by the kernel. */
const MEMORY = { maxOldGenerationSizeMb: 192, maxYoungGenerationSizeMb: 32 };

/** Reads and checks a file in a thread of its own. Rejects with LoadRefusedError where the file cannot be read, and with the signal's reason. */
export async function parseInThread(request: ParseRequest, { onRows, onBad }: ParsedRows, signal?: AbortSignal): Promise<ParseSummary> {
  signal?.throwIfAborted();
  const worker = new Worker(workerUrl, { workerData: request, resourceLimits: MEMORY });
  const ended = Promise.withResolvers<ParseSummary>();
  let last: Promise<void> = Promise.resolve();
  let hasSaidAll = false;
  const stop = (): void => ended.reject(signal?.reason);
  const take = async ({ copy, rows, bytes }: Extract<ParseReply, { kind: 'rows' }>): Promise<void> => {
    await onRows(Buffer.from(copy.buffer, copy.byteOffset, copy.byteLength), { rows, bytes });
    worker.postMessage('taken');
  };
  worker.on('message', (reply: ParseReply) => {
    hasSaidAll = reply.kind === 'done' || reply.kind === 'refused' || reply.kind === 'failed';
    if (reply.kind === 'bad') onBad(reply.rows);
    else if (reply.kind === 'refused') ended.reject(new LoadRefusedError(reply.message));
    else if (reply.kind === 'failed') ended.reject(reply.error);
    else if (reply.kind === 'done') last.then(() => ended.resolve(reply.summary), ended.reject);
    else last = last.then(() => take(reply)).catch((error: unknown) => {
      ended.reject(error);
      throw error;
    });
  });
  worker.on('error', (error) => ended.reject('code' in error && error.code === 'ERR_WORKER_OUT_OF_MEMORY' ? new LoadRefusedError('the file has pieces that are too large for the memory of a load') : error));
  // It ends behind its last word, which may still wait for rows to be taken.
  worker.on('exit', (code) => {
    if (!hasSaidAll) ended.reject(new Error(`the thread that reads the file ended with ${code}`));
  });
  signal?.addEventListener('abort', stop, { once: true });
  try {
    return await ended.promise;
  } finally {
    signal?.removeEventListener('abort', stop);
    last.catch(() => undefined);
    await worker.terminate();
  }
}
