import { asList } from '@millrace/redis-kit';
import type { Redis, TopicKeys } from '@millrace/redis-kit';
import { pause } from '../backoff.ts';
import { GroupMissingError } from '../errors.ts';
import type { BootstrapNeed } from '../group-log.ts';
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
export async function bootstrapGroup({ control, keys, group, consumer }: BootstrapDeps, read: (need: BootstrapNeed) => Promise<void>, signal: AbortSignal): Promise<void> {
  const marker = keys.bootstrapped(group);
  const lock = keys.bootstrapping(group);
  const take = async () => asList(await takeBootstrap(control, [marker, lock], [consumer, LOCK_MS]));
  const end = async (completed: boolean): Promise<unknown> => endBootstrap(control, [marker, lock, keys.stream], [consumer, completed ? 1 : 0, group, Date.now()]);

  let answer = await take();
  for (; answer[0] !== 'mine'; answer = await take()) {
    if (answer[0] === 'done' || signal.aborted) return;
    await pause(LOOK_AGAIN_MS, signal);
  }
  const need = { since: Number(answer[1]), now: Number(answer[2]) };
  const renewal = setInterval(() => void take().catch(() => undefined), LOCK_MS / 3);
  try {
    // A stop does not wait for a long export; without the marker the next start reads it again.
    const completed = await Promise.race([read(need).then(() => true), aborted(signal).then(() => false)]);
    // A renewal that is sent behind the end would take the lock again.
    clearInterval(renewal);
    if ((await end(completed)) !== 1 && completed) throw new GroupMissingError('the group, or the lock of its bootstrap, was lost meanwhile: reading the export again');
  } catch (error) {
    clearInterval(renewal);
    await end(false).catch(() => undefined);
    throw error;
  }
}

const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
