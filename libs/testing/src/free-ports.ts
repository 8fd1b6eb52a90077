import { once } from 'node:events';
import { chmod, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

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

/** A file for each port that was given to a process: until its server listens, nobody else would see that it is taken. */
const CLAIMS = join(tmpdir(), 'millrace-ports');

const codeOf = (error: unknown): unknown => (error instanceof Error && 'code' in error ? error.code : undefined);

const isRunning = (pid: number): boolean => {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    // Another user's process.
    return codeOf(error) === 'EPERM';
  }
};

async function claim(port: number): Promise<boolean> {
  const file = join(CLAIMS, String(port));
  // Where no file can be written the look at the port must do.
  const isWritten = (): Promise<boolean> => writeFile(file, String(process.pid), { flag: 'wx' }).then(() => true, (error: unknown) => codeOf(error) !== 'EEXIST');
  if (await isWritten()) return true;
  const owner = Number(await readFile(file, 'utf8').catch(() => ''));
  if (owner === process.pid) return true;
  // Without an owner it is being written, or it is another user's.
  if (owner === 0 || isRunning(owner)) return false;
  await rm(file, { force: true }).catch(() => undefined);
  return isWritten();
}

async function openClaims(): Promise<void> {
  // For every user of this machine.
  if ((await mkdir(CLAIMS, { recursive: true })) !== undefined) await chmod(CLAIMS, 0o1777);
}

/**
 * `count` different ports of 127.0.0.1 that nobody listens on, each given once by this process and to no other that is running, and never one that the kernel gives to an
 * outgoing connection: a server that is stopped finds its port free when it starts again. Throws where all are taken.
 */
export async function freePorts(count: number): Promise<number[]> {
  await openClaims();
  const found: number[] = [];
  for (let tried = 0; found.length < count; tried += 1) {
    if (tried === COUNT) throw new Error(`no ${count} free ports between ${FIRST} and ${FIRST + COUNT - 1}`);
    const port = FIRST + next;
    next = (next + 1) % COUNT;
    if ((await claim(port)) && (await isFree(port))) found.push(port);
  }
  return found;
}
