import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { appEnvironment } from './app-env.ts';
import type { AppEnvironment } from './app-env.ts';
import { mainOf } from './apps.ts';
import type { AppName } from './apps.ts';
import { root } from './paths.ts';
import type { RunningApp } from './stack-types.ts';
import { logTail, supervise } from './supervisor.ts';
import type { SupervisedApp } from './supervisor.ts';

const READY_TIMEOUT_MS = 60_000;
/** An app that crashed this often while it started will not come up by waiting. */
const HOPELESS_CRASHES = 3;

interface Waiting {
  readonly app: SupervisedApp;
  readonly internalUrl: string;
  readonly logFile: string;
  readonly signal: AbortSignal | undefined;
}

async function readiness(internalUrl: string): Promise<{ ok: boolean; said: string }> {
  try {
    const response = await fetch(`${internalUrl}/readyz`, { signal: AbortSignal.timeout(2_000) });
    return { ok: response.status === 200, said: `${response.status} ${(await response.text()).slice(0, 300)}` };
  } catch {
    return { ok: false, said: 'no answer' };
  }
}

async function untilReady({ app, internalUrl, logFile, signal }: Waiting): Promise<void> {
  const deadline = Date.now() + READY_TIMEOUT_MS;
  for (;;) {
    signal?.throwIfAborted();
    if (app.problem !== undefined) throw new Error(app.problem);
    if (app.crashes >= HOPELESS_CRASHES) throw new Error(`${app.name} keeps crashing; the end of ${logFile}:\n${logTail(logFile)}`);
    const { ok, said } = await readiness(internalUrl);
    if (ok) return;
    if (Date.now() > deadline) throw new Error(`${app.name} was not ready within ${READY_TIMEOUT_MS / 1_000} s (/readyz: ${said}); the end of ${logFile}:\n${logTail(logFile)}`);
    await delay(25);
  }
}

export interface AppsOptions {
  readonly names: readonly AppName[];
  readonly environment: AppEnvironment;
  readonly signal: AbortSignal | undefined;
  readonly onEvent: ((text: string) => void) | undefined;
}

export interface StartedApps {
  readonly running: readonly RunningApp[];
  /** Resolves when all are ready, rejects with the first reason why one will not be. */
  ready(): Promise<void>;
  stop(graceMs: number): Promise<void>;
}

function startApp(name: AppName, { environment, signal, onEvent }: AppsOptions): { app: SupervisedApp; running: RunningApp } {
  const { http, internal } = environment.ports.apps[name];
  const internalUrl = `http://127.0.0.1:${internal}`;
  const logFile = join(environment.stateDir, 'logs', `${name}.log`);
  const app = supervise({ name, stateDir: environment.stateDir, main: mainOf(name), cwd: root, env: appEnvironment(name, environment), logFile, ...(onEvent && { onEvent }) });
  const ready = (): Promise<void> => untilReady({ app, internalUrl, logFile, signal });
  const running: RunningApp = {
    name,
    url: http === undefined ? undefined : `http://127.0.0.1:${http}`,
    internalUrl,
    logFile,
    get pid() {
      return app.pid;
    },
    kill: (by) => app.kill(by),
    relaunch: () => app.restart(),
    restart: async (env) => {
      await app.restart(env);
      await ready();
    },
    ready,
  };
  return { app, running };
}

/** Starts all apps at once: a service waits by itself for what it needs. */
export function startApps(options: AppsOptions): StartedApps {
  const started = options.names.map((name) => startApp(name, options));
  return {
    running: started.map(({ running }) => running),
    ready: async () => {
      await Promise.all(started.map(({ running }) => running.ready()));
    },
    stop: async (graceMs) => {
      await Promise.all(started.map(({ app }) => app.stop(graceMs)));
    },
  };
}
