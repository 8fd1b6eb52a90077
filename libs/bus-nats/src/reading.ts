import type { NatsConnection } from '@nats-io/transport-node';
import type { Connection } from './connection.ts';
import { openPuller } from './pull.ts';
import type { Delivered, Puller, PullOptions } from './pull.ts';

/** What one process reads of a group: of one consumer in JetStream after another. */
export interface Reading {
  /** @throws DeliveryMissedError where a delivery of a consumer that is ours alone was lost on the way, before what came behind it is given out */
  read(consumer: string, options: Omit<PullOptions, 'lost'>): Promise<readonly Delivered[]>;
  /** Asks for nothing more. What came and was not read, once nothing can come any more. */
  finish(): Promise<readonly Delivered[]>;
}

/** Another consumer in the place of this one gives it again, in order. */
export class DeliveryMissedError extends Error {
  override readonly name = 'DeliveryMissedError';
}

interface Current {
  readonly nc: NatsConnection;
  readonly consumer: string;
  readonly puller: Puller;
  /** The consumer's last delivery that came. */
  last: number;
}

/** `waitMs`: of one request. `isOnly`: nobody else reads the same consumer, so that all of its deliveries come here. */
export function createReading(connection: Connection, stream: string, { isOnly, waitMs }: { readonly isOnly: boolean; readonly waitMs: number }): Reading {
  let current: Current | undefined;
  const currentFor = (nc: NatsConnection, consumer: string): Current => {
    if (current?.nc === nc && current.consumer === consumer) return current;
    // What came for it and was not read comes again: from the consumer in its place, or after ack_wait.
    current?.puller.drop();
    return (current = { nc, consumer, puller: openPuller(nc, { stream, consumer, waitMs }), last: 0 });
  };
  return {
    read: (consumer, options) =>
      connection.use(async ({ nc }) => {
        const one = currentFor(nc, consumer);
        const messages = await one.puller.read({ ...options, lost: connection.lost() });
        for (const { delivery } of isOnly ? messages : []) {
          if (delivery !== one.last + 1) throw new DeliveryMissedError(`NATS gave delivery ${delivery} after ${one.last}: what is missing is read again`);
          one.last = delivery;
        }
        return messages;
      }),
    finish: async () => (await current?.puller.finish(connection.lost())) ?? [],
  };
}
