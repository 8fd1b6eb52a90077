import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { closeSync, existsSync, fstatSync, openSync, readSync, renameSync, statSync } from 'node:fs';
import { forgetProcess, rememberProcess } from './processes.ts';

export interface AppProgram {
  readonly name: string;
  readonly stateDir: string;
  /** Script that Node runs. */
  readonly main: string;
  readonly cwd: string;
  readonly env: Record<string, string>;
  readonly logFile: string;
  readonly onEvent?: (text: string) => void;
  /** First wait before a crashed app is started again; doubles up to 30 s, begins anew after a minute without a crash. */
  readonly backoffMs?: number;
}

export interface SupervisedApp {
  readonly name: string;
  readonly pid: number | undefined;
  /** Crashes in a row. */
  readonly crashes: number;
  /** Why it is not started again; undefined while it is kept up. */
  readonly problem: string | undefined;
  /** Ends it (default SIGKILL) and keeps it down until `restart`. */
  kill(name?: NodeJS.Signals): Promise<void>;
  /** Starts it now, where it runs gently stopped first; `env`: with these variables set, too, from now on. Does not wait until it is ready. */
  restart(env?: Readonly<Record<string, string>>): Promise<void>;
  /** SIGTERM, after `graceMs` SIGKILL; never started again. */
  stop(graceMs: number): Promise<void>;
}

const MAX_BACKOFF_MS = 30_000;
const STEADY_MS = 60_000;
const MAX_LOG_BYTES = 20_000_000;
/** Bad configuration, by agreement with runService: starting again would not help. */
const CONFIG_EXIT = 2;
const RESTART_GRACE_MS = 8_000;

/** The last lines of a log, to show beside a failure. */
export function logTail(file: string, lines = 15): string {
  if (!existsSync(file)) return '';
  const fd = openSync(file, 'r');
  try {
    const size = fstatSync(fd).size;
    const buffer = Buffer.alloc(Math.min(size, 16_384));
    readSync(fd, buffer, 0, buffer.length, size - buffer.length);
    return buffer.toString('utf8').trimEnd().split('\n').slice(-lines).join('\n');
  } finally {
    closeSync(fd);
  }
}

function openLog(file: string): number {
  if (existsSync(file) && statSync(file).size > MAX_LOG_BYTES) renameSync(file, `${file}.1`);
  return openSync(file, 'a', 0o600);
}

/** Its own process group: Ctrl-C in the terminal must not reach it besides our SIGTERM. Logs go straight to the file. */
function launch({ main, cwd, env, logFile }: AppProgram): ChildProcess {
  const log = openLog(logFile);
  const child = spawn(process.execPath, [main], { cwd, env, stdio: ['ignore', log, log], detached: true });
  closeSync(log);
  return child;
}

/** Signals a child and waits until it is gone, by force after `graceMs`. */
async function endChild(child: ChildProcess, by: NodeJS.Signals, graceMs: number): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise<void>((done) => void child.once('exit', () => done()));
  child.kill(by);
  const force = setTimeout(() => child.kill('SIGKILL'), graceMs);
  await gone;
  clearTimeout(force);
}

interface State {
  child: ChildProcess | undefined;
  crashes: number;
  problem: string | undefined;
  timer: NodeJS.Timeout | undefined;
  /** Kept down on purpose. */
  isHeld: boolean;
}

/** Starts the app now, and again when it ends without having been asked to. */
function start(program: AppProgram, state: State): void {
  const { name, stateDir, logFile, onEvent = () => undefined, backoffMs = 500 } = program;
  const child = launch(program);
  const bornMs = performance.now();
  const onEnd = (reason: string): void => {
    if (state.child !== child) return;
    state.child = undefined;
    forgetProcess(stateDir, `app-${name}`);
    if (state.isHeld) return;
    if (child.exitCode === CONFIG_EXIT) {
      state.problem = `${name} refuses its configuration:\n${logTail(logFile)}`;
      onEvent(state.problem);
      return;
    }
    state.crashes = performance.now() - bornMs > STEADY_MS ? 1 : state.crashes + 1;
    const waitMs = Math.min(MAX_BACKOFF_MS, backoffMs * 2 ** (state.crashes - 1));
    onEvent(`${name} ${reason}; starting it again in ${(waitMs / 1_000).toFixed(1)} s (log: ${logFile})`);
    state.timer = setTimeout(() => start(program, state), waitMs);
  };
  state.child = child;
  if (child.pid !== undefined) rememberProcess(stateDir, { name: `app-${name}`, pid: child.pid, stopBy: 'SIGTERM' });
  child.once('error', (error) => onEnd(`could not be started: ${error.message}`));
  child.once('exit', (code, signalName) => onEnd(`ended with ${code ?? signalName}`));
}

/** Starts an app and keeps it up: a crashed one is started again after a growing pause, one with a bad configuration (exit code 2) is not. */
export function supervise(given: AppProgram): SupervisedApp {
  let program = given;
  const state: State = { child: undefined, crashes: 0, problem: undefined, timer: undefined, isHeld: false };
  const end = async (by: NodeJS.Signals, graceMs: number): Promise<void> => {
    state.isHeld = true;
    clearTimeout(state.timer);
    if (state.child) await endChild(state.child, by, graceMs);
  };
  start(program, state);
  return {
    name: program.name,
    get pid() {
      return state.child?.pid;
    },
    get crashes() {
      return state.crashes;
    },
    get problem() {
      return state.problem;
    },
    kill: (by = 'SIGKILL') => end(by, RESTART_GRACE_MS),
    restart: async (env = {}) => {
      await end('SIGTERM', RESTART_GRACE_MS);
      program = { ...program, env: { ...program.env, ...env } };
      Object.assign(state, { isHeld: false, problem: undefined, crashes: 0 });
      start(program, state);
    },
    stop: (graceMs) => end('SIGTERM', graceMs),
  };
}
