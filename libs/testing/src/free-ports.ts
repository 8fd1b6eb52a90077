import { once } from 'node:events';
import { chmod, mkdir, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Below what a kernel gives to outgoing connections (Linux from 32768, macOS from 49152): those would take a port away from a server that restarts. */
const FIRST = 10_000;
const COUNT = 20_000;
/** Processes that start after one another begin far apart. */
const APART = 97;

let next = process.pid * APART;

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

/** A file for each process, of the ports that it was given: until their servers listen, nobody else would see that they are taken. */
const CLAIMS = join(tmpdir(), 'millrace-ports');
/** With the user: nobody can replace what another user's process of that number has left behind. */
const OWN = `${process.pid}-${process.getuid?.() ?? 0}`;

const codeOf = (error: unknown): unknown => (error instanceof Error && 'code' in error ? error.code : undefined);

const isRunning = (pid: number): boolean => {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    // Another user's process.
    return codeOf(error) === 'EPERM';
  }
};

/** What other running processes say that they have; the files of those that have ended are removed. */
async function claimedByOthers(): Promise<Set<number>> {
  const claimed = await Promise.all((await readdir(CLAIMS)).map(async (name) => {
    const pid = Number(name.split('-')[0]);
    if (!Number.isInteger(pid) || name === OWN) return [];
    const file = join(CLAIMS, name);
    if (pid !== process.pid && isRunning(pid)) return (await readFile(file, 'utf8').catch(() => '')).split(' ').map(Number);
    await rm(file, { force: true }).catch(() => undefined); // another user's stays
    return [];
  }));
  return new Set(claimed.flat());
}

const own = new Set<number>();
let claiming: Promise<unknown> = Promise.resolve();

/** Those of the ports that no other process has. Says first, then looks: of two that want the same port at least one sees the other, so never both have it. */
function claim(ports: readonly number[]): Promise<number[]> {
  const claimed = claiming.then(async () => {
    const draft = join(CLAIMS, `draft-${OWN}`);
    await writeFile(draft, [...own, ...ports].join(' '));
    await rename(draft, join(CLAIMS, OWN));
    const taken = await claimedByOthers();
    const kept = ports.filter((port) => !taken.has(port));
    for (const port of kept) own.add(port);
    return kept;
  });
  claiming = claimed.catch(() => undefined);
  return claimed;
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
  for (let tried = 0; found.length < count; ) {
    const wanted = Array.from({ length: count - found.length }, () => FIRST + (next++ % COUNT));
    tried += wanted.length;
    if (tried > COUNT) throw new Error(`no ${count} free ports between ${FIRST} and ${FIRST + COUNT - 1}`);
    for (const port of await claim(wanted)) if (await isFree(port)) found.push(port);
  }
  return found;
}
