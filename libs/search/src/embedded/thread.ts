import { Worker } from 'node:worker_threads';
import { SearchUnavailableError } from '../errors.ts';
import type { WorkerData, WorkerReply, WorkerRequest } from './protocol.ts';

interface Pending { readonly request: WorkerRequest; readonly settle: (reply: WorkerReply | SearchUnavailableError) => void }

export interface SearchThread {
  /** Rejects with SearchUnavailableError where the answer takes too long or the thread dies of the request. */
  ask(makeRequest: (id: number) => WorkerRequest): Promise<WorkerReply>;
  close(): Promise<void>;
}

// Bundles hold main.js and the worker side by side; from source the worker is a TypeScript file beside this one.
const workerUrl = new URL(import.meta.url.endsWith('.ts') ? './worker.ts' : './embedded-search-worker.js', import.meta.url);

export interface SearchThreadOptions extends WorkerData {
  readonly timeoutMs: number;
  readonly url?: URL;
}

/** A worker thread that is started at the first request, and started again after it crashed or got stuck. */
export function createSearchThread({ timeoutMs, url = workerUrl, ...workerData }: SearchThreadOptions): SearchThread {
  const pending = new Map<number, Pending>();
  let worker: Worker | undefined;
  let lastId = 0;
  let isClosed = false;

  const start = (): Worker => {
    const started = new Worker(url, { workerData: workerData satisfies WorkerData });
    started.unref();
    started.on('message', (reply: WorkerReply) => pending.get(reply.id)?.settle(reply));
    started.on('error', (error) => replace(started, new SearchUnavailableError('the search thread crashed', { cause: error })));
    started.on('exit', () => replace(started, new SearchUnavailableError('the search thread ended')));
    return started;
  };
  /** Drops a dead or stuck thread: its oldest request is what it died of, the others had not begun and are sent again. */
  const replace = (failed: Worker, reason: SearchUnavailableError): void => {
    if (worker !== failed) return;
    worker = undefined;
    void failed.terminate();
    pending.values().next().value?.settle(reason);
    if (pending.size === 0) return;
    worker = start();
    for (const { request } of pending.values()) worker.postMessage(request);
  };
  const expire = (id: number): void => {
    const error = new SearchUnavailableError(`search took longer than ${timeoutMs} ms`);
    if (worker !== undefined && pending.keys().next().value === id) replace(worker, error);
    else pending.get(id)?.settle(error);
  };

  return {
    async ask(makeRequest) {
      if (isClosed) throw new SearchUnavailableError('the search reader is closed');
      const request = makeRequest(++lastId);
      const thread = (worker ??= start());
      return new Promise((resolve, reject) => {
        const timer = setTimeout(() => expire(request.id), timeoutMs);
        const settle: Pending['settle'] = (reply) => {
          clearTimeout(timer);
          pending.delete(request.id);
          if (reply instanceof SearchUnavailableError) reject(reply);
          else resolve(reply);
        };
        pending.set(request.id, { request, settle });
        thread.postMessage(request);
      });
    },
    async close() {
      isClosed = true;
      const last = worker;
      worker = undefined;
      for (const { settle } of pending.values()) settle(new SearchUnavailableError('the search reader is closed'));
      await last?.terminate();
    },
  };
}
