import type { Redis, TopicKeys } from '@millrace/redis-kit';
import { pause } from '../backoff.ts';
import { endBootstrap, takeBootstrap } from './scripts/group.ts';

export interface BootstrapDeps {
  readonly control: Redis;
  readonly keys: TopicKeys;
  readonly group: string;
  readonly consumer: string;
}

const LOCK_MS = 10_000;
const LOOK_AGAIN_MS = 200;

/** Under a lock that dies with its holder; the marker is written after `read` has resolved, so an interrupted one runs again. */
export async function bootstrapGroup({ control, keys, group, consumer }: BootstrapDeps, read: () => Promise<void>, signal: AbortSignal): Promise<void> {
  const marker = keys.bootstrapped(group);
  const lock = keys.bootstrapping(group);
  const take = async (): Promise<unknown> => takeBootstrap(control, [marker, lock], [consumer, LOCK_MS]);
  const end = async (completed: boolean): Promise<unknown> => endBootstrap(control, [marker, lock, keys.stream], [consumer, completed ? 1 : 0, group, Date.now()]);

  for (let answer = await take(); answer !== 'mine'; answer = await take()) {
    if (answer === 'done' || signal.aborted) return;
    await pause(LOOK_AGAIN_MS, signal);
  }
  const renewal = setInterval(() => void take().catch(() => undefined), LOCK_MS / 3);
  try {
    // A stop does not wait for a long export; without the marker the next start reads it again.
    const completed = await Promise.race([read().then(() => true), aborted(signal).then(() => false)]);
    await end(completed);
  } catch (error) {
    await end(false).catch(() => undefined);
    throw error;
  } finally {
    clearInterval(renewal);
  }
}

const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
