/** Stands in for the engine's thread: the prefix says how to misbehave. */
import { parentPort } from 'node:worker_threads';

parentPort?.on('message', ({ id, prefix }: { id: number; prefix: string }) => {
  if (prefix === 'crash') throw new Error('crashed as asked');
  if (prefix === 'exit') process.exit(3);
  while (prefix === 'hang');
  parentPort?.postMessage({ id, kind: 'suggest', suggestions: [{ text: prefix, kind: 'brand' }] });
});
