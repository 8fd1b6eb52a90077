/** Stands in for the engine's thread: the prefix says how to misbehave. */
import { parentPort } from 'node:worker_threads';

parentPort?.on('message', ({ id, prefix }: { id: number; prefix: string }) => {
  if (prefix === 'crash') throw new Error('crashed as asked');
  if (prefix === 'exit') process.exit(3);
  if (prefix === 'hang') Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  parentPort?.postMessage({ id, kind: 'suggest', suggestions: [{ text: prefix, kind: 'brand' }] });
});
