import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { findProcess, forgetProcess, isGoneWithin, rememberProcess, signal, stopProcess } from './processes.ts';

/** A database server on this machine that we started. */
export interface LocalServer {
  readonly url: string;
  readonly pid: number;
  /** Ends it as a crash would (default SIGKILL) and waits until it is gone. Data stay. */
  kill(name?: NodeJS.Signals): Promise<void>;
  /** Starts it again with the same data, port and password, after `kill`; else stops it gently first. */
  restart(): Promise<void>;
  /** Gently within `graceMs` (8 s), then by force: its data survive that too. */
  stop(graceMs?: number): Promise<void>;
}

export interface ServerProgram {
  readonly stateDir: string;
  /** Unique within the state folder. */
  readonly name: string;
  readonly url: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Record<string, string>;
  readonly user?: { uid: number; gid: number } | undefined;
  readonly stopBy: 'SIGTERM' | 'SIGINT';
  readonly logFile: string;
  /** Does it answer now? */
  isReady(pid: number): boolean | Promise<boolean>;
}

const START_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 8_000;
/** How long a server that ends at once is started again: at first, where that may be for a setting of it, and after a kill. */
const RETRY_FOR_MS = { start: 2_000, restart: 30_000 };
const RETRY_MS = 300;

/** Its own process group: a Ctrl-C in the terminal must reach the apps first, and the servers only through us. */
function launch(program: ServerProgram): ChildProcess {
  const log = openSync(program.logFile, 'a', 0o600);
  const child = spawn(program.command, program.args, {
    ...program.user,
    cwd: '/',
    env: { ...process.env, ...program.env },
    stdio: ['ignore', log, log],
    detached: true,
  });
  closeSync(log);
  return child;
}

async function waitUntilReady(program: ServerProgram, child: ChildProcess): Promise<number> {
  let failure: Error | undefined;
  child.once('error', (error) => (failure = error));
  const deadline = Date.now() + START_TIMEOUT_MS;
  for (;;) {
    if (failure) throw new Error(`${program.name} could not be started: ${failure.message}`);
    if (child.exitCode !== null || child.signalCode !== null)
      throw new Error(`${program.name} ended with ${child.exitCode ?? child.signalCode} while it started: see ${program.logFile}`);
    if (child.pid !== undefined && (await program.isReady(child.pid))) return child.pid;
    if (Date.now() > deadline) {
      child.kill('SIGKILL');
      throw new Error(`${program.name} was not ready within ${START_TIMEOUT_MS / 1_000} s: see ${program.logFile}`);
    }
    await delay(20);
  }
}

/** Starts a server and waits until it answers. Its pid file lets a later run stop it if this one is killed. */
export async function startServer(program: ServerProgram): Promise<LocalServer> {
  /** The helpers of a killed PostgreSQL live longer than it and keep its data locked, on a busy machine for seconds. */
  const start = async (untilMs: number): Promise<number> => {
    const child = launch(program);
    if (child.pid !== undefined) rememberProcess(program.stateDir, { name: program.name, pid: child.pid, stopBy: program.stopBy });
    try {
      return await waitUntilReady(program, child);
    } catch (error) {
      forgetProcess(program.stateDir, program.name);
      if (Date.now() > untilMs || child.exitCode === null) throw error;
      await delay(RETRY_MS);
      return start(untilMs);
    }
  };
  let pid = await start(Date.now() + RETRY_FOR_MS.start);
  const stop = async (graceMs = STOP_TIMEOUT_MS): Promise<void> => {
    await stopProcess(pid, program.stopBy, graceMs);
    forgetProcess(program.stateDir, program.name);
  };
  return {
    url: program.url,
    get pid() {
      return pid;
    },
    kill: async (name = 'SIGKILL') => {
      signal(pid, name);
      await isGoneWithin(pid, STOP_TIMEOUT_MS);
    },
    restart: async () => {
      if (findProcess(program.stateDir, program.name) !== undefined) await stopProcess(pid, program.stopBy, STOP_TIMEOUT_MS);
      pid = await start(Date.now() + RETRY_FOR_MS.restart);
    },
    stop,
  };
}
