import { shedOrder } from './call-class.ts';
import type { CallClass } from './call-class.ts';

/** How overloaded this process is, and so which calls it refuses. */
export interface Pressure {
  /** How late the event loop was, measured `spanMs` after the measurement before, and what part of that time it was at work itself. */
  sample(lagMs: number, spanMs: number, utilization?: number): void;
  /** true: this call is to be refused. Of a class that is refused in part exactly that part is. */
  refuses(callClass: CallClass): boolean;
  isShedding(): boolean;
  lagMs(): number;
}

export interface PressureOptions {
  readonly limitMs: number;
  readonly onChange: (isShedding: boolean, lagMs: number) => void;
}

/** A pause of the garbage collector is no overload: the lag must have stood for so long. */
const STANDING_MS = 400;
/** Pressure of one class: at this times the limit one sample adds that much. */
const FULL_AT = 4;
/** Pressure that one second below half of the limit takes away. */
const RELIEF_PER_SECOND = 0.5;

/** A loop that worked less than this was late because the machine had no time for it: refusing calls would not help. */
const BUSY = 0.7;

const between0And1 = (value: number): number => Math.min(1, Math.max(0, value));

/**
 * Pressure grows while the lag stands above the limit (after CoDel: a standing queue counts, a burst does not), stays between the limit and half of it, and
 * is relieved below that, slowly: calls come back bit by bit instead of all at once. Each class is refused in the part of the pressure that is above the
 * classes before it, so that no event is refused while any read is answered.
 */
export function createPressure({ limitMs, onChange }: PressureOptions): Pressure {
  let [pressure, standingMs, samples, latestMs] = [0, 0, 0, 0];
  const owed = new Map<CallClass, number>();
  const grow = (lagMs: number, spanMs: number): void => {
    standingMs += spanMs;
    samples += 1;
    if (standingMs < STANDING_MS || samples < 2) return;
    pressure = Math.min(shedOrder.length, pressure + between0And1(lagMs / (limitMs * FULL_AT)));
  };
  const relieve = (lagMs: number, spanMs: number): void => {
    [standingMs, samples] = [0, 0];
    if (lagMs < limitMs / 2) pressure = Math.max(0, pressure - (RELIEF_PER_SECOND * spanMs) / 1_000);
  };
  return {
    sample(lagMs, spanMs, utilization = 1) {
      latestMs = lagMs;
      const before = pressure > 0;
      const ownMs = utilization < BUSY ? 0 : lagMs;
      (ownMs > limitMs ? grow : relieve)(ownMs, spanMs);
      if (pressure > 0 !== before) onChange(pressure > 0, lagMs);
    },
    refuses(callClass) {
      if (pressure === 0 || callClass === 'never') return false;
      const part = between0And1(pressure - shedOrder.indexOf(callClass));
      const sum = (owed.get(callClass) ?? 0) + part;
      owed.set(callClass, sum >= 1 ? sum - 1 : sum);
      return sum >= 1;
    },
    isShedding: () => pressure > 0,
    lagMs: () => latestMs,
  };
}
