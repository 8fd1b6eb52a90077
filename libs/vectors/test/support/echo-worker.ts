import { parentPort } from 'node:worker_threads';

// Answers `model` with the thread's life number, hangs on `warm`, dies of `get`.
parentPort?.on('message', ({ id, operation }: { id: number; operation: string }) => {
  if (operation === 'get') throw new Error('on purpose');
  if (operation === 'warm') while (Date.now() > 0);
  parentPort?.postMessage({ id, result: operation }, []);
});
