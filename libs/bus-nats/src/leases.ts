import type { LeasesOf, LeaseTable } from '@millrace/bus/engine';
import { z } from 'zod';
import { stateSubject } from './names.ts';
import type { State } from './state.ts';

export const leaseSchema = z.object({ holder: z.string(), token: z.number(), isFree: z.boolean() });

export interface StateLease {
  /** The fencing token, higher than any before; undefined while another holds it. */
  acquire(): Promise<number | undefined>;
  /** False where it is another's by now. */
  renew(token: number): Promise<boolean>;
  release(token: number): Promise<void>;
}

/**
 * A lease without a common clock: whoever wants it must see it unrenewed for `leaseMs` by its own clock (as in leader election of Kubernetes), then takes it by the
 * revision that it saw.
 */
export function createStateLease(state: State, subject: string, { member, leaseMs }: { readonly member: string; readonly leaseMs: number }): StateLease {
  let seen: { readonly revision: number; readonly at: number } | undefined;
  const held = new Map<number, number>();
  const take = async (token: number, revision: number): Promise<number | undefined> => {
    const mine = await state.put(subject, { holder: member, token, isFree: false }, revision);
    seen = undefined;
    if (mine === undefined) return undefined;
    held.set(token, mine);
    return token;
  };
  /** An answer may have been lost: what is there under our token is ours. */
  const ownRevision = async (token: number): Promise<number | undefined> => {
    const found = await state.get(subject, leaseSchema);
    return found?.value.token === token && !found.value.isFree ? found.revision : undefined;
  };
  const write = async (token: number, isFree: boolean): Promise<boolean> => {
    for (const revision of [held.get(token), await ownRevision(token)]) {
      const next = revision === undefined ? undefined : await state.put(subject, { holder: member, token, isFree }, revision);
      if (next === undefined) continue;
      held.set(token, next);
      return true;
    }
    held.delete(token);
    return false;
  };
  return {
    async acquire() {
      const found = await state.get(subject, leaseSchema);
      // Seconds: rises also where the state was lost.
      const fresh = Math.floor(Date.now() / 1_000);
      if (found === undefined) return take(fresh, 0);
      const next = Math.max(found.value.token + 1, fresh);
      if (found.value.isFree) return take(next, found.revision);
      const now = performance.now();
      if (seen?.revision !== found.revision) seen = { revision: found.revision, at: now };
      return now - seen.at >= leaseMs ? take(next, found.revision) : undefined;
    },
    renew: async (token) => {
      const revision = held.get(token);
      const next = revision === undefined ? undefined : await state.put(subject, { holder: member, token, isFree: false }, revision);
      if (next === undefined) return write(token, false);
      held.set(token, next);
      return true;
    },
    async release(token) {
      await write(token, true);
      held.delete(token);
    },
  };
}

/** Who is a group's only consumer. One partition: whoever holds it keeps it, the others stand by. */
export function createNatsLeases(state: State, { topic, group, member, leaseMs }: LeasesOf): LeaseTable {
  const lease = createStateLease(state, stateSubject('lease', topic.name, group), { member, leaseMs });
  return {
    join: async () => [member],
    leave: async () => undefined,
    async acquire(partition) {
      const token = await lease.acquire();
      return token === undefined ? undefined : { partition, value: member, fencingToken: token };
    },
    renew: ({ fencingToken }) => lease.renew(fencingToken),
    release: ({ fencingToken }) => lease.release(fencingToken),
  };
}

/** Who holds a group's topic now, as far as the state tells. */
export async function readHolder(state: State, topic: string, group: string): Promise<{ readonly holder: string; readonly token: number } | undefined> {
  const found = await state.get(stateSubject('lease', topic, group), leaseSchema);
  return found && !found.value.isFree ? found.value : undefined;
}
