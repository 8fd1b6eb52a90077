import { once } from 'node:events';
import { createServer } from 'node:net';

/** Below what a kernel gives to outgoing connections (Linux from 32768, macOS from 49152): those would take a port away from a server that restarts. */
const FIRST = 10_000;
const COUNT = 20_000;
/** Processes that start after one another begin far apart. */
const APART = 97;

let next = (process.pid * APART) % COUNT;

async function isFree(port: number): Promise<boolean> {
  const server = createServer().listen(port, '127.0.0.1');
  try {
    await once(server, 'listening');
  } catch {
    return false;
  }
  await once(server.close(), 'close');
  return true;
}

/**
 * `count` different ports of 127.0.0.1 that nobody listens on, each given once by this process, and never one that the kernel gives to an
 * outgoing connection: a server that is stopped finds its port free when it starts again. Throws where all are taken.
 */
export async function freePorts(count: number): Promise<number[]> {
  const found: number[] = [];
  for (let tried = 0; found.length < count; tried += 1) {
    if (tried === COUNT) throw new Error(`no ${count} free ports between ${FIRST} and ${FIRST + COUNT - 1}`);
    const port = FIRST + next;
    next = (next + 1) % COUNT;
    if (await isFree(port)) found.push(port);
  }
  return found;
}
