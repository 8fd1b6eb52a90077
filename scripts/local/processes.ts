// Servers and apps outlive a start that was killed. Each one's pid file says who it is, so that the next start can stop it.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';

const pidFile = z.object({ pid: z.int().positive(), born: z.string(), signal: z.enum(['SIGTERM', 'SIGINT']) });
type PidFile = z.output<typeof pidFile>;

/** When the process was born, in the system's own words; undefined where it is gone. A pid alone may have been given to another process. */
function bornAt(pid: number): string | undefined {
  if (process.platform === 'linux') {
    try {
      const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ') ?? [];
      return fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[19];
    } catch {
      return undefined;
    }
  }
  return spawnSync('ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8' }).stdout.trim() || undefined;
}

export const isAlive = (pid: number): boolean => bornAt(pid) !== undefined;

/** Sends a signal; false where the process is gone already. */
export function signal(pid: number, name: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, name);
  } catch {
    return false;
  }
}

/** Waits until the process is gone; false after `timeoutMs`. */
export async function isGoneWithin(pid: number, timeoutMs: number): Promise<boolean> {
  const deadline = Date.now() + timeoutMs;
  while (isAlive(pid)) {
    if (Date.now() > deadline) return false;
    await delay(20);
  }
  return true;
}

/** Asks with `name`, waits, then kills. Resolves when the process is gone. */
export async function stopProcess(pid: number, name: NodeJS.Signals, graceMs: number): Promise<void> {
  signal(pid, name);
  if (await isGoneWithin(pid, graceMs)) return;
  // SIGINT is PostgreSQL's: its immediate stop takes its helpers along, SIGKILL would orphan them.
  if (name === 'SIGINT') signal(pid, 'SIGQUIT');
  if (name === 'SIGINT' && (await isGoneWithin(pid, 1_000))) return;
  signal(pid, 'SIGKILL');
  await isGoneWithin(pid, 2_000);
}

const runDir = (stateDir: string): string => join(stateDir, 'run');
const fileOf = (stateDir: string, name: string): string => join(runDir(stateDir), `${name}.pid`);

/** Remembers a started process under a name. `stopBy` is what ends it gently. */
export function rememberProcess(stateDir: string, { name, pid, stopBy }: { name: string; pid: number; stopBy: PidFile['signal'] }): void {
  mkdirSync(runDir(stateDir), { recursive: true, mode: 0o700 });
  writeFileSync(fileOf(stateDir, name), JSON.stringify({ pid, born: bornAt(pid) ?? '', signal: stopBy } satisfies PidFile), { mode: 0o600 });
}

export const forgetProcess = (stateDir: string, name: string): void => rmSync(fileOf(stateDir, name), { force: true });

function readPidFile(file: string): PidFile | undefined {
  try {
    return pidFile.safeParse(JSON.parse(readFileSync(file, 'utf8'))).data;
  } catch {
    return undefined; // half written by a run that was killed
  }
}

/** The remembered process, if it still runs. */
export function findProcess(stateDir: string, name: string): PidFile | undefined {
  const found = readPidFile(fileOf(stateDir, name));
  return found !== undefined && bornAt(found.pid) === found.born ? found : undefined;
}

/** Stops the processes remembered as `app-…` and `server-…` that a killed run left behind: apps first. Returns their names. */
export async function stopOrphans(stateDir: string): Promise<string[]> {
  if (!existsSync(runDir(stateDir))) return [];
  const names = readdirSync(runDir(stateDir)).flatMap((file) => (/^(app|server)-.*\.pid$/.test(file) ? [file.slice(0, -4)] : []));
  const alive = names.filter((name) => findProcess(stateDir, name) !== undefined);
  for (const isServer of [false, true]) {
    const group = alive.filter((name) => name.startsWith('server-') === isServer);
    await Promise.all(
      group.map(async (name) => {
        const found = findProcess(stateDir, name);
        if (found) await stopProcess(found.pid, found.signal, 5_000);
      }),
    );
  }
  for (const name of names) forgetProcess(stateDir, name);
  return alive;
}
