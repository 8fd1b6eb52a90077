import { closeOnAbort } from './bus.ts';
import type { Subscription } from './bus.ts';
import type { Started } from './start-reading.ts';

/** The subscriptions of one bus, whatever engine it runs on. */
export interface Subscriptions {
  /** Resolves once it is registered; what cannot be is closed. Throws where the bus is closed: then nothing is started. */
  open(start: () => Started, signal: AbortSignal | undefined): Promise<Subscription>;
  /** Closes all of them, then does the rest, once. */
  closeAll(andThen: () => Promise<unknown>): Promise<void>;
}

export function createSubscriptions(): Subscriptions {
  const open = new Set<Subscription>();
  let closing: Promise<void> | undefined;
  return {
    async open(start, signal) {
      if (closing) throw new Error('the bus is closed');
      const started = start();
      let closed: Promise<void> | undefined;
      const subscription: Subscription = { close: () => (closed ??= started.close().finally(() => open.delete(subscription))) };
      open.add(subscription);
      closeOnAbort(subscription, signal);
      try {
        await started.registered;
      } catch (error) {
        await subscription.close();
        throw error;
      }
      return subscription;
    },
    closeAll: (andThen) => (closing ??= Promise.all([...open].map((subscription) => subscription.close())).then(async () => void (await andThen()))),
  };
}
