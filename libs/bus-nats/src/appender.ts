import { wireFields } from '@millrace/bus';
import type { AppendOptions, Topic, WireEvent } from '@millrace/bus';
import { hasNobodyThere } from './connection.ts';
import type { Connection } from './connection.ts';
import { encodeFields } from './entries.ts';
import type { Groups } from './groups.ts';
import { subjectOf } from './names.ts';

/** Messages that wait for the server at once. */
const IN_FLIGHT = 500;

export interface Appender {
  (topic: Topic, events: readonly WireEvent[], options?: AppendOptions): Promise<number>;
}

/**
 * Publishes in order over one connection and waits for the server's acknowledgement of each (PubAck): resolved means that the stream has all of them. A chunk whose
 * first messages fail while later ones land comes behind them when the producer repeats. Of a call that was given up nothing more is sent.
 */
export function createAppender({ use }: Connection, groups: Groups): Appender {
  const known = new Set<string>();
  const send = (topic: Topic, events: readonly WireEvent[]): Promise<number> =>
    use(async ({ js }) => {
      const subject = subjectOf(topic.name);
      const acks = await Promise.allSettled(events.map((event) => js.publish(subject, encodeFields(wireFields(topic, event)), topic.options.dedupMs === undefined ? {} : { msgID: event.id })));
      let last = 0;
      for (const ack of acks) {
        if (ack.status === 'rejected') throw ack.reason;
        last = Math.max(last, ack.value.seq);
      }
      return last;
    });
  return async (topic, events, { signal } = {}) => {
    let last = 0;
    for (let start = 0; start < events.length; start += IN_FLIGHT) {
      signal?.throwIfAborted();
      const chunk = events.slice(start, start + IN_FLIGHT);
      if (!known.has(topic.name)) await groups.ensureTopic(topic);
      known.add(topic.name);
      try {
        last = await send(topic, chunk);
      } catch (error) {
        // A stream that was removed takes nothing: it is made again at the next call.
        if (hasNobodyThere(error)) known.delete(topic.name);
        throw error;
      }
    }
    return last;
  };
}
