import { parentPort, workerData } from 'node:worker_threads';
import { InvalidVectorError, VectorsUnavailableError } from '../errors.ts';
import { openLiveCollection, openNamedCollection, type OpenCollection } from './collection.ts';
import { PROGRESS, toWire, type Answer, type Request } from './protocol.ts';

// The reader's thread: node:sqlite and the search block, so they must not run where requests are served.
const directory = String(workerData.directory);
/** Undefined: the live one. */
const collection = typeof workerData.collection === 'string' ? workerData.collection : undefined;
let open: OpenCollection | undefined;

const onProgress = (): void => parentPort?.postMessage({ id: PROGRESS, result: null } satisfies Answer, []);

function live(): OpenCollection | undefined {
  if (open !== undefined && !open.isCurrent()) forget();
  open ??= collection === undefined ? openLiveCollection(directory, onProgress) : openNamedCollection(directory, collection, onProgress);
  return open;
}

function forget(): void {
  open?.close();
  open = undefined;
}

function required(): OpenCollection {
  const current = live();
  if (current === undefined) throw new VectorsUnavailableError('there is no live vector collection yet');
  return current;
}

function perform(request: Request): unknown {
  switch (request.operation) {
    case 'warm':
      live()?.catchUp();
      return null;
    case 'model':
      return live()?.model ?? null;
    case 'get':
      return required().get(request.params.sku) ?? null;
    case 'nearest':
      return required().nearest(request.params.vector, request.params.query);
  }
  return null;
}

function answer(request: Request): Answer {
  const { id } = request;
  if (Date.now() > request.deadline) return { id, error: { kind: 'unavailable', message: 'nobody waits for this any more' } };
  try {
    return { id, result: perform(request) };
  } catch (error) {
    // After an error of the file itself the next request starts from a fresh handle.
    if (!(error instanceof InvalidVectorError) && !(error instanceof RangeError)) forget();
    return { id, error: toWire(error) };
  }
}

parentPort?.on('message', (request: Request) => parentPort?.postMessage(answer(request), []));
