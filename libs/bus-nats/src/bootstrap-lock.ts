import { BOOTSTRAP_LOCK_MS } from '@millrace/bus/engine';
import type { BootstrapLock, LogOf } from '@millrace/bus/engine';
import { z } from 'zod';
import { markSchema } from './groups.ts';
import { createStateLease } from './leases.ts';
import { stateSubject } from './names.ts';
import type { State } from './state.ts';

/** The mark of a group in the state, and the lock as a lease. */
export function createBootstrapLock(state: State, { topic, group, consumer }: LogOf): BootstrapLock {
  const mark = stateSubject('mark', topic.name, group);
  const lockSubject = stateSubject('lock', topic.name, group);
  const lock = createStateLease(state, lockSubject, { member: consumer, leaseMs: BOOTSTRAP_LOCK_MS });
  let mine: number | undefined;
  return {
    async take() {
      const needed = await state.get(mark, markSchema);
      if (needed?.value.state !== 'needed') return 'done';
      if (mine === undefined || !(await lock.renew(mine))) mine = await lock.acquire();
      // Both times are the server's.
      const at = mine === undefined ? undefined : await state.get(lockSubject, z.unknown());
      return at === undefined ? 'busy' : { since: needed.atUs, now: at.atUs };
    },
    async end(completed) {
      const token = mine;
      mine = undefined;
      if (token === undefined) return false;
      const isMine = await lock.renew(token);
      if (isMine && completed) await state.set(mark, { state: 'done' });
      await lock.release(token);
      return isMine;
    },
  };
}
