import { parentPort } from 'node:worker_threads';
import { PROGRESS, type Request } from '../../src/embedded/protocol.ts';

/** A thread that loads for thirty steps of 100 ms, saying so, and answers then. */
let steps = 0;
const loading = setInterval(() => {
  parentPort?.postMessage({ id: PROGRESS, result: null }, []);
  if ((steps += 1) === 30) clearInterval(loading);
}, 100);
const waiting: Request[] = [];
parentPort?.on('message', (request: Request) => waiting.push(request));
setTimeout(() => {
  for (const { id, operation, deadline } of waiting) parentPort?.postMessage({ id, result: Date.now() > deadline ? 'too late' : operation }, []);
}, 3_000);
