import { within } from './within.ts';

/** Rejects, or resolves with false, when the dependency cannot be used now. */
export type ReadinessCheck = () => Promise<unknown>;

export interface Readiness {
  readonly ready: boolean;
  /** Name of each check and what is wrong with it, or "ok". */
  readonly checks: Readonly<Record<string, string>>;
}

export interface Health {
  /** Readiness is about this service's own work only (I9): never another service's state. */
  addCheck(name: string, check: ReadinessCheck): void;
  /** From now on, and for good, not ready: the load balancer takes the instance out. */
  drain(): void;
  started(): void;
  /** `started` was not called yet. */
  isStarting(): boolean;
  readiness(): Promise<Readiness>;
}

const CHECK_TIMEOUT_MS = 1_000;
const CHECK_EVERY_MS = 500;

async function runCheck(check: ReadinessCheck): Promise<string> {
  try {
    return (await within(CHECK_TIMEOUT_MS, check(), () => new Error(`no answer within ${CHECK_TIMEOUT_MS} ms`))) === false ? 'failed' : 'ok';
  } catch (error) {
    return error instanceof Error ? error.message || error.name : 'failed';
  }
}

export function createHealth(): Health {
  const checks = new Map<string, ReadinessCheck>();
  let phase: 'starting' | 'running' | 'draining' = 'starting';
  let last: { readonly at: number; readonly results: Promise<readonly (readonly [string, string])[]> } | undefined;
  /** Twice a second at most, however many ask: a probe must not become a load. */
  const check = (): Promise<readonly (readonly [string, string])[]> => {
    const now = performance.now();
    if (!last || now - last.at > CHECK_EVERY_MS) last = { at: now, results: Promise.all([...checks].map(async ([name, one]) => [name, await runCheck(one)] as const)) };
    return last.results;
  };
  return {
    addCheck: (name, one) => {
      checks.set(name, one);
      last = undefined;
    },
    drain: () => void (phase = 'draining'),
    started: () => void (phase = phase === 'draining' ? phase : 'running'),
    isStarting: () => phase === 'starting',
    readiness: async () => {
      const results = await check();
      const ready = phase === 'running' && results.every(([, result]) => result === 'ok');
      return { ready, checks: { phase, ...Object.fromEntries(results) } };
    },
  };
}
