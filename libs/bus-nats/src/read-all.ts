import { SinkUnavailableError } from '@millrace/bus';
import type { OrderedConsumerOptions } from '@nats-io/jetstream';
import type { Connection } from './connection.ts';

export interface StoredEntry {
  readonly number: number;
  readonly ms: number;
  readonly data: Uint8Array;
}

const PAGE = 500;

/** Reads a stream by an ephemeral ordered consumer, to its present end or until `take` says false. */
export async function readAll(use: Connection['use'], stream: string, from: Partial<OrderedConsumerOptions>, take: (entry: StoredEntry) => boolean): Promise<void> {
  await use(async ({ js }) => {
    const consumer = await js.consumers.get(stream, from);
    let left = (await consumer.info()).num_pending;
    while (left > 0) {
      const page = await consumer.fetch({ max_messages: Math.min(left, PAGE), expires: 2_000 });
      let seen = 0;
      for await (const message of page) {
        seen += 1;
        if (!take({ number: message.seq, ms: message.time.getTime(), data: message.data })) return;
      }
      // A page that stays empty is the end only where the server says so: who reads all must not take a part for it.
      if (seen === 0 && (left = (await consumer.info()).num_pending) > 0) throw new SinkUnavailableError(`NATS did not send what is left of ${stream} in time`);
      left -= seen;
    }
  });
}
