import type { EventSubscriber } from '@millrace/bus';
import { keyUpdates } from '@millrace/contracts';
import { createPool } from '@millrace/database';
import { createRelay } from '@millrace/outbox';
import type { RelayOptions } from '@millrace/outbox';
import type { Logger, ServiceContext } from '@millrace/service';
import type { KeyMemory } from '../key-cache.ts';

/** Every gateway forgets what it knew of a key that has changed, in this order; everything where changes may have been missed. Does not wait for Redis. */
export function followKeyChanges(bus: EventSubscriber, memories: readonly KeyMemory[], logger: Logger): void {
  const onGap = async (): Promise<void> => memories.forEach((memory) => memory.forgetAll());
  bus
    .subscribe(keyUpdates, { mode: 'broadcast', onGap }, async (events) => {
      const changed = new Set(events.map(({ key_id: id }) => id));
      for (const memory of memories) memory.forget(changed);
    })
    .catch((error: unknown) => logger.error({ err: error }, 'changes of keys are not heard: a revoked key works up to 30 s longer'));
}

export interface KeyRelayDeps extends Pick<RelayOptions, 'connect' | 'durable' | 'keys' | 'partitions' | 'pollMs' | 'metrics' | 'directUrl'>, Pick<ServiceContext<unknown>, 'logger' | 'onClose'> {
  /** As the role of the gateway. */
  readonly databaseUrl: string;
}

/**
 * Tells all gateways what the trigger on the table of keys wrote into the outbox, in the transaction of the change: nothing that committed is lost. One
 * gateway does it for all, another takes over. Needs no Redis to start.
 */
export function startKeyRelay({ databaseUrl, logger, onClose, ...options }: KeyRelayDeps): void {
  const pool = createPool({ url: databaseUrl, name: 'gateway-relay', max: 3, logger });
  onClose(() => pool.end());
  const relay = createRelay({ ...options, pool, schema: 'gateway', topics: [keyUpdates], logger });
  onClose(() => relay.close());
}
