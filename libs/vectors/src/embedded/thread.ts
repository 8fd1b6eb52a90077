import { Worker } from 'node:worker_threads';
import { VectorsUnavailableError } from '../errors.ts';
import { fromWire, type Answer, type Operation, type Operations } from './protocol.ts';

/** A thread that says nothing for so many timeouts hangs; one that loads a large collection says how it gets on. */
const silentTimeouts = 10;

export interface ThreadOptions {
  readonly url: URL;
  readonly workerData: unknown;
  readonly timeoutMs: number;
}

/** Asks a worker thread. A crashed thread fails what it was asked, with VectorsUnavailableError, and the next call starts another. */
export interface Thread {
  /** Rejects with VectorsUnavailableError after `timeoutMs`; a thread that stays silent for `silentTimeouts` times as long is replaced. `isPatient`: rejects only then. */
  ask<O extends Operation>(operation: O, params: Operations[O]['params'], options?: { readonly isPatient: boolean }): Promise<Operations[O]['result']>;
  close(): Promise<void>;
}

export function createThread({ url, workerData, timeoutMs }: ThreadOptions): Thread {
  const waiting = createWaitingList();
  let worker: Worker | undefined;
  /** Since when the thread owes an answer to something, also to what nobody waits for any more. */
  let silentSince: number | undefined;
  let isClosed = false;

  function start(): Worker {
    const started = new Worker(url, { workerData, name: 'embedded-vectors' });
    started.on('message', (answer: Answer) => {
      waiting.settle(answer);
      silentSince = waiting.size() === 0 ? undefined : Date.now();
    });
    const onEnd = (cause?: unknown): void => {
      if (worker !== started) return;
      worker = undefined;
      silentSince = undefined;
      waiting.failAll(new VectorsUnavailableError('the vector search thread ended', { cause }));
    };
    started.on('error', onEnd);
    started.on('exit', () => onEnd());
    // Open requests hold the process by their timers; an idle thread must not. After the listeners: adding one takes it back.
    started.unref();
    return started;
  }

  function onTimeout(id: number): void {
    waiting.settle({ id, error: { kind: 'unavailable', message: `the vector search did not answer within ${timeoutMs} ms` } });
    replaceWhereItHangs();
  }

  function replaceWhereItHangs(): void {
    if (silentSince === undefined || Date.now() - silentSince < timeoutMs * silentTimeouts) return;
    const hung = worker;
    worker = undefined;
    silentSince = undefined;
    void hung?.terminate();
    waiting.failAll(new VectorsUnavailableError('the vector search thread hung'));
  }

  return {
    ask(operation, params, { isPatient } = { isPatient: false }) {
      if (isClosed) return Promise.reject(new VectorsUnavailableError('the vector reader is closed'));
      worker ??= start();
      silentSince ??= Date.now();
      const { id, answer } = waiting.add();
      const timer = isPatient ? setInterval(replaceWhereItHangs, timeoutMs) : setTimeout(onTimeout, timeoutMs, id);
      worker.postMessage({ id, deadline: isPatient ? Infinity : Date.now() + timeoutMs, operation, params }, []);
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- both ends of the channel are compiled against Operations
      return answer.finally(() => clearTimeout(timer)) as Promise<Operations[typeof operation]['result']>;
    },
    async close() {
      isClosed = true;
      const ending = worker;
      worker = undefined;
      waiting.failAll(new VectorsUnavailableError('the vector reader is closed'));
      await ending?.terminate();
    },
  };
}

interface WaitingList {
  size(): number;
  add(): { readonly id: number; readonly answer: Promise<unknown> };
  /** Does nothing for an answer that nobody waits for any more. */
  settle(answer: Answer): void;
  failAll(error: Error): void;
}

function createWaitingList(): WaitingList {
  const entries = new Map<number, { resolve(result: unknown): void; reject(error: Error): void }>();
  let nextId = 1;
  return {
    size: () => entries.size,
    add() {
      const id = nextId++;
      const { promise, resolve, reject } = Promise.withResolvers<unknown>();
      entries.set(id, { resolve, reject });
      return { id, answer: promise };
    },
    settle(answer) {
      const entry = entries.get(answer.id);
      entries.delete(answer.id);
      if ('error' in answer) entry?.reject(fromWire(answer.error));
      else entry?.resolve(answer.result);
    },
    failAll(error) {
      for (const entry of entries.values()) entry.reject(error);
      entries.clear();
    },
  };
}
