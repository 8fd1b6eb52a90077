import { acquireLease, asList, asText, asTexts, renewLease } from '@millrace/redis-kit';
import type { Redis, TopicKeys } from '@millrace/redis-kit';
import type { LeaseTable } from '../assignment.ts';
import { joinMembers } from './scripts/leases.ts';

export interface RedisLeaseOptions {
  readonly control: Redis;
  /** The partitions' keys; the members stand beside the first one. */
  readonly partitions: readonly TopicKeys[];
  readonly group: string;
  /** Unique among the running consumers of the group. */
  readonly member: string;
  readonly leaseMs: number;
}

/** Leases that run out by Redis' own clock; each of their values has a fencing token, which rises. */
export function createRedisLeaseTable({ control, partitions, group, member, leaseMs }: RedisLeaseOptions): LeaseTable {
  const keysAt = (partition: number): TopicKeys => {
    const keys = partitions[partition];
    if (!keys) throw new RangeError(`there is no partition ${partition}`);
    return keys;
  };
  const members = keysAt(0).members(group);
  return {
    join: async () => asTexts(await joinMembers(control, [members], [member, leaseMs])),
    leave: async () => void (await joinMembers(control, [members], [member, 0])),
    async acquire(partition) {
      const keys = keysAt(partition);
      const [value, token] = asList(await acquireLease(control, [keys.lease(group), keys.fence(group)], [member, leaseMs]));
      return value === undefined ? undefined : { partition, value: asText(value), fencingToken: Number(token) };
    },
    renew: async ({ partition, value }) => (await renewLease(control, [keysAt(partition).lease(group)], [value, leaseMs])) === 1,
    release: async ({ partition, value }) => void (await renewLease(control, [keysAt(partition).lease(group)], [value, 0])),
  };
}
