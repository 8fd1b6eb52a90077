/** Thread of an embedded reader; `workerData` is WorkerData. Bundled beside main.js as embedded-search-worker.js. */
import { parentPort, workerData } from 'node:worker_threads';
import { SearchUnavailableError } from '../errors.ts';
import { InvalidCursorError } from '../ports.ts';
import { openEngine } from './engine.ts';
import type { WorkerData, WorkerReply, WorkerRequest } from './protocol.ts';

const data: WorkerData = workerData;
const engine = openEngine(data);

function answer(request: WorkerRequest): WorkerReply {
  const { id } = request;
  try {
    if (request.kind === 'search') return { id, kind: 'search', answer: engine.search(request.query) };
    if (request.kind === 'version') return { id, kind: 'version', stored: engine.versionOf(request.sku) };
    return { id, kind: 'suggest', suggestions: engine.suggest(request.prefix, request.limit) };
  } catch (error) {
    const kind = error instanceof InvalidCursorError ? 'cursor' : error instanceof SearchUnavailableError ? 'unavailable' : 'other';
    return { id, kind: 'error', error: kind, message: error instanceof Error ? error.message : String(error) };
  }
}

parentPort?.on('message', (request: WorkerRequest) => parentPort?.postMessage(answer(request)));
