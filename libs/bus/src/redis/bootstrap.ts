import { asList } from '@millrace/redis-kit';
import type { Redis, TopicKeys } from '@millrace/redis-kit';
import { BOOTSTRAP_LOCK_MS } from '../run-bootstrap.ts';
import type { BootstrapLock } from '../run-bootstrap.ts';
import { endBootstrap, takeBootstrap } from './scripts/group.ts';

export interface BootstrapDeps {
  readonly control: Redis;
  readonly keys: TopicKeys;
  readonly group: string;
  readonly consumer: string;
}

/** The marker of a group beside its stream, and the lock. */
export function createBootstrapLock({ control, keys, group, consumer }: BootstrapDeps): BootstrapLock {
  const own = [keys.bootstrapped(group), keys.bootstrapping(group)];
  return {
    async take() {
      const [state, since, now] = asList(await takeBootstrap(control, own, [consumer, BOOTSTRAP_LOCK_MS]));
      if (state === 'mine') return { since: Number(since), now: Number(now) };
      return state === 'done' ? 'done' : 'busy';
    },
    end: async (completed) => (await endBootstrap(control, [...own, keys.stream], [consumer, completed ? 1 : 0, group, Date.now()])) === 1,
  };
}
