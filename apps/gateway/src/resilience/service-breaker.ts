import { BrokenCircuitError, CircuitState, circuitBreaker, CountBreaker, handleWhenResult } from 'cockatiel';
import type { Answer } from '../policy.ts';

/** What one try came to, and what that says about its service: `nothing` where the caller went, or where the failure is not the service's. */
export interface Tried {
  readonly answer?: Answer | undefined;
  readonly error?: unknown;
  readonly says: 'alive' | 'dead' | 'nothing';
}

export type BreakerState = 'closed' | 'half_open' | 'open';

export interface ServiceBreaker {
  state(): BreakerState;
  /** undefined: the service is left alone. `attempt` must not reject. */
  ask(attempt: (isProbe: boolean) => Promise<Tried>): Promise<Tried | undefined>;
  /** The same for a call that may last for hours: nobody can wait for what it says, so it is let in beside a probe, never as one. */
  askLong(attempt: () => Promise<Tried>): Promise<Tried | undefined>;
}

export interface BreakerOptions {
  /** Of the last so many calls more than half must have failed. */
  readonly size: number;
  /** Fewer calls say nothing yet. */
  readonly minimum: number;
  /** Then one call at a time probes, at most so often. */
  readonly halfOpenAfterMs: number;
}

export const breakerDefaults: BreakerOptions = { size: 20, minimum: 10, halfOpenAfterMs: 1_000 };

/** Carries a try that the circuit must not count through it. */
class NotCounted extends Error {
  readonly tried: Tried;
  constructor(tried: Tried) {
    super('not counted');
    this.tried = tried;
  }
}

/**
 * One service's circuit. Open when more than half of the last calls found it dead; then calls are refused at once, and one call a second probes it: it
 * closes with the first that gets through. Calls that come while one probes are refused, too (cockatiel would let them wait). What calls from before the
 * last change of state come to is not counted.
 */
export function createServiceBreaker({ size, minimum, halfOpenAfterMs }: BreakerOptions, onChange: (state: BreakerState) => void): ServiceBreaker {
  const isDead = handleWhenResult((result) => typeof result === 'object' && result !== null && 'says' in result && result.says === 'dead');
  const circuit = circuitBreaker(isDead, { halfOpenAfter: halfOpenAfterMs, breaker: new CountBreaker({ threshold: 0.5, size, minimumNumberOfCalls: minimum }) });
  const state = (): BreakerState => (circuit.state === CircuitState.Closed ? 'closed' : circuit.state === CircuitState.HalfOpen ? 'half_open' : 'open');
  let epoch = 0;
  let openedAt = 0;
  circuit.onStateChange((next) => {
    if (next !== CircuitState.HalfOpen) epoch += 1;
    if (next === CircuitState.Open) openedAt = Date.now();
    onChange(state());
  });
  const count = (tried: Tried, isProbe: boolean, born: number): Tried => {
    // A probe that says nothing has not shown that the service is alive.
    if (isProbe) return tried.says === 'nothing' ? { ...tried, says: 'dead' } : tried;
    if (tried.says === 'nothing' || born !== epoch) throw new NotCounted(tried);
    return tried;
  };
  const ask: ServiceBreaker['ask'] = async (attempt) => {
    if (circuit.state === CircuitState.HalfOpen) return undefined;
    const isProbe = circuit.state === CircuitState.Open;
    const born = epoch;
    try {
      return await circuit.execute(async () => count(await attempt(isProbe), isProbe, born));
    } catch (error) {
      if (error instanceof BrokenCircuitError) return undefined;
      if (error instanceof NotCounted) return error.tried;
      throw error;
    }
  };
  return {
    state,
    ask,
    askLong: async (attempt) => {
      if (circuit.state === CircuitState.Closed) return ask(attempt);
      return circuit.state === CircuitState.Open && Date.now() - openedAt >= halfOpenAfterMs ? attempt() : undefined;
    },
  };
}
