import { randomUUID } from 'node:crypto';
import { acquireLease, renewLease } from './lease-scripts.ts';
import { asList, asText } from './reply.ts';
import type { Redis } from './redis.ts';

/** Both names share a hash tag: `keys.lease(name)`. */
export interface LeaseKeys {
  readonly lease: string;
  /** The number of the last holder. It has no end. */
  readonly fence: string;
}

export interface LeaseOptions {
  /** A `background` connection; one that hangs does not keep the holder from being told. */
  readonly redis: Redis;
  readonly keys: LeaseKeys;
  /** How long a holder that died keeps others out, milliseconds. It is renewed at a third of it. */
  readonly ttlMs: number;
}

export class LeaseLostError extends Error {
  override readonly name = 'LeaseLostError';
}

export interface Lease {
  /** Larger than that of every holder before, also where Redis lost everything meanwhile (then it is Redis' time in milliseconds). */
  readonly fencingNumber: number;
  /** Aborts, with a LeaseLostError, when the lease is another's or may be from now on. Not when it is released. */
  readonly signal: AbortSignal;
  /** By this process' own clock, which `signal` may be behind where the process stood still. */
  isHeld(): boolean;
  /** Lets the next one in at once. Never rejects: where Redis cannot be asked the lease runs out by itself. */
  release(): Promise<void>;
}

/**
 * Takes a lease that one process at a time has, or returns undefined where another one has it. Rejects where Redis cannot be asked.
 *
 * What is guaranteed: on one Redis that keeps its data no two leases overlap by Redis' clock, and the holder is told (`signal`) before
 * its lease has ended there, also where Redis hangs: its own time is counted from before each renewal was sent.
 * What is not: that a holder stops. It may stand still (SIGSTOP, a paused machine, garbage collection) between looking at the signal and
 * acting, and Redis may give the lease away twice where it lost its memory or a replica took over that had not heard of it. So whatever
 * must not be done twice has to compare `fencingNumber` where it is done, and refuse one that is below the largest it has seen.
 * Source: Kleppmann, "How to do distributed locking" (martin.kleppmann.com/2016/02/08/how-to-do-distributed-locking.html).
 */
export async function openLease({ redis, keys, ttlMs }: LeaseOptions): Promise<Lease | undefined> {
  const askedMs = performance.now();
  const [value, number] = asList(await acquireLease(redis, [keys.lease, keys.fence], [randomUUID(), ttlMs]));
  if (value === undefined) return undefined;
  return keepLease({ redis, keys, ttlMs }, { value: asText(value), fencingNumber: Number(asText(number)), untilMs: askedMs + ttlMs });
}

interface Taken {
  readonly value: string;
  readonly fencingNumber: number;
  /** By performance.now(). */
  readonly untilMs: number;
}

function keepLease({ redis, keys, ttlMs }: LeaseOptions, { value, fencingNumber, untilMs: firstUntilMs }: Taken): Lease {
  const lost = new AbortController();
  let untilMs = firstUntilMs;
  let isReleased = false;
  const stop = (): void => {
    clearTimeout(renewal);
    clearTimeout(end);
  };
  const lose = (reason: string): void => {
    if (isReleased || lost.signal.aborted) return;
    stop();
    lost.abort(new LeaseLostError(`the lease ${keys.lease} is lost: ${reason}`));
  };
  // A timer may come a little late, so it comes early: the next holder must not begin before this one has heard.
  const watch = (): NodeJS.Timeout => setTimeout(() => lose('Redis did not renew it in time'), Math.max(0, untilMs - ttlMs / 10 - performance.now()));
  const renew = async (): Promise<void> => {
    const askedMs = performance.now();
    const isOurs = await renewLease(redis, [keys.lease], [value, ttlMs]).then((reply) => reply === 1, () => undefined);
    if (isReleased || lost.signal.aborted) return;
    if (isOurs === false) {
      lose('another one has it, or Redis lost it');
      return;
    }
    if (isOurs === true) {
      untilMs = askedMs + ttlMs;
      clearTimeout(end);
      end = watch();
    }
    renewal = setTimeout(() => void renew(), isOurs === true ? ttlMs / 3 : ttlMs / 15);
  };
  let end = watch();
  let renewal = setTimeout(() => void renew(), ttlMs / 3);
  return {
    fencingNumber,
    signal: lost.signal,
    isHeld: () => !isReleased && !lost.signal.aborted && performance.now() < untilMs,
    async release() {
      isReleased = true;
      stop();
      await renewLease(redis, [keys.lease], [value, 0]).catch(() => undefined);
    },
  };
}

/** Runs `work` while this process has the lease, and gives it back whatever happens. Undefined where another one has it: `work` was not called. The guarantee and its limits are those of `openLease`. */
export async function withLease<T>(options: LeaseOptions, work: (lease: Lease) => Promise<T>): Promise<T | undefined> {
  const lease = await openLease(options);
  if (lease === undefined) return undefined;
  try {
    return await work(lease);
  } finally {
    await lease.release();
  }
}
