import { fork } from 'node:child_process';
import { once } from 'node:events';
import type { Logger } from '@millrace/service';
import { loadMessageSchema } from './load-messages.ts';
import type { LoadMessage, LoadSettings, Outcome } from './load-messages.ts';

// Bundles hold main.js and this process' file side by side; from source it is a TypeScript file beside this one.
const processUrl = new URL(import.meta.url.endsWith('.ts') ? './load-process.ts' : './scheduled-load.js', import.meta.url);

/** Small young generations keep the process below 400 MB (see libs/subscribers). */
const NODE_OPTIONS = ['--max-semi-space-size=4', '--disable-warning=ExperimentalWarning'];
/** Leases after which a process that says nothing stands still: it is killed. */
const SILENT_LEASES = 4;
/** Services have 8 s to stop. */
const STOP_MS = 5_000;

export interface LoadChildOptions {
  readonly settings: LoadSettings;
  readonly signal: AbortSignal;
  readonly logger: Logger;
  readonly onStep?: (step: Extract<LoadMessage, { kind: 'step' }>, pid: number) => void;
}

/** Runs a scheduled load in a process of its own, to its end or until the signal. Never rejects: a process that died has `failed`. */
export async function runLoadChild({ settings, signal, logger, onStep }: LoadChildOptions): Promise<Outcome> {
  if (signal.aborted) return { state: 'stopped', seconds: 0, rows: {}, skipped: [] };
  const startMs = performance.now();
  let outcome: Outcome | undefined;
  const child = fork(processUrl, [], { execArgv: NODE_OPTIONS, stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  const killLater = (afterMs: number): NodeJS.Timeout => setTimeout(() => child.kill('SIGKILL'), afterMs);
  let silent = killLater(settings.leaseMs * SILENT_LEASES);
  let stopped: NodeJS.Timeout | undefined;
  const stop = (): void => {
    child.kill('SIGTERM');
    stopped = killLater(STOP_MS);
  };
  child.on('error', (err) => logger.error({ err }, 'the process of the scheduled load'));
  child.on('message', (message) => {
    clearTimeout(silent);
    silent = killLater(settings.leaseMs * SILENT_LEASES);
    const heard = loadMessageSchema.parse(message);
    if (heard.kind === 'ended') ({ outcome } = heard);
    if (heard.kind === 'step') onStep?.(heard, child.pid ?? 0);
  });
  signal.addEventListener('abort', stop, { once: true });
  child.send(settings, () => undefined);
  await once(child, 'exit').catch(() => undefined);
  signal.removeEventListener('abort', stop);
  clearTimeout(silent);
  clearTimeout(stopped);
  const how = child.signalCode ?? `code ${child.exitCode ?? 'unknown'}`;
  const seconds = Math.round((performance.now() - startMs) / 1_000);
  // One that had hardly begun has no word of its own.
  return outcome ?? { state: signal.aborted ? 'stopped' : 'failed', reason: `the process of the load ended by ${how}`, seconds, rows: {}, skipped: [] };
}
