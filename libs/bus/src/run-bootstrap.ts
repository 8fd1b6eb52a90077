import { pause } from './backoff.ts';
import { GroupMissingError } from './errors.ts';
import type { BootstrapNeed } from './group-log.ts';

/** A group's mark and the lock of its bootstrap: what a broker has to know. */
export interface BootstrapLock {
  /** Takes or renews the lock, which dies with its holder. */
  take(): Promise<'done' | 'busy' | BootstrapNeed>;
  /** Marks the group where it was completed, and gives the lock back. False where group or lock were lost meanwhile. */
  end(completed: boolean): Promise<boolean>;
}

export const BOOTSTRAP_LOCK_MS = 10_000;
const LOOK_AGAIN_MS = 200;

/** Under a lock that dies with its holder; the marker is written after `read` has resolved, so an interrupted one runs again. */
export async function runBootstrap(lock: BootstrapLock, read: (need: BootstrapNeed) => Promise<void>, signal: AbortSignal): Promise<void> {
  let answer = await lock.take();
  for (; typeof answer === 'string'; answer = await lock.take()) {
    if (answer === 'done' || signal.aborted) return;
    await pause(LOOK_AGAIN_MS, signal);
  }
  const renewal = setInterval(() => void lock.take().catch(() => undefined), BOOTSTRAP_LOCK_MS / 3);
  try {
    // A stop does not wait for a long export; without the marker the next start reads it again.
    const completed = await Promise.race([read(answer).then(() => true), aborted(signal).then(() => false)]);
    // A renewal that is sent behind the end would take the lock again.
    clearInterval(renewal);
    if (!(await lock.end(completed)) && completed) throw new GroupMissingError('the group, or the lock of its bootstrap, was lost meanwhile: reading the export again');
  } catch (error) {
    clearInterval(renewal);
    await lock.end(false).catch(() => undefined);
    throw error;
  }
}

const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
