import { createSignal } from '@millrace/bus';
import type { Signal, Topic } from '@millrace/bus';
import type { NumberedEntry, TailLog } from '@millrace/bus/engine';
import { DeliverPolicy } from '@nats-io/jetstream';
import type { ConsumerMessages } from '@nats-io/jetstream';
import type { Connection } from './connection.ts';
import { toRawEntry } from './entries.ts';
import type { Groups } from './groups.ts';
import { streamOf } from './names.ts';

/** Entries that wait to be read: beyond, the server is asked for no more. */
const MOST_WAITING = 1_000;

/** What one ordered consumer has given, until it is left. */
interface Following {
  readonly messages: ConsumerMessages;
  readonly waiting: NumberedEntry[];
  readonly room: Signal;
  readonly left: AbortController;
  /** Behind which number it goes on. */
  position: number;
  failure: unknown;
  hasEnded: boolean;
}

async function collect(one: Following, wake: Signal): Promise<void> {
  try {
    for await (const message of one.messages) {
      one.waiting.push({ number: message.seq, entry: toRawEntry({ number: message.seq, ms: message.time.getTime(), data: message.data }) });
      wake.notify();
      while (one.waiting.length >= MOST_WAITING && !one.left.signal.aborted) await one.room.wait(1_000);
      if (one.left.signal.aborted) break;
    }
  } catch (error) {
    one.failure = error;
  }
  one.hasEnded = true;
  wake.notify();
}

/** By an ephemeral ordered consumer, which the client makes again wherever it was lost, behind the last message that it has given. */
export function openNatsTail({ use, onReconnect }: Connection, groups: Groups, topic: Topic): TailLog {
  const wake = createSignal();
  let following: Following | undefined;
  let isInterrupted = false;
  let hasReconnected = false;
  const stopListening = onReconnect(() => {
    hasReconnected = true;
  });
  const stop = async (): Promise<void> => {
    const was = following;
    following = undefined;
    was?.left.abort();
    was?.room.notify();
    // What it may still say is for nobody.
    await was?.messages.close().catch(() => undefined);
  };
  const follow = async (after: number): Promise<Following> => {
    if (following?.position === after && !following.hasEnded) return following;
    await stop();
    const messages = await use(async ({ js }) => (await js.consumers.get(streamOf(topic.name), { deliver_policy: DeliverPolicy.StartSequence, opt_start_seq: after + 1 })).consume({ max_messages: 100 }));
    following = { messages, waiting: [], room: createSignal(), left: new AbortController(), position: after, failure: undefined, hasEnded: false };
    void collect(following, wake);
    return following;
  };
  return {
    async tail() {
      await groups.ensureTopic(topic);
      return use(async ({ jsm }) => (await jsm.streams.info(streamOf(topic.name))).state.last_seq);
    },
    async read(after, count, blockMs) {
      isInterrupted = false;
      const one = await follow(after);
      const givenUpAt = performance.now() + blockMs;
      for (;;) {
        const entries = one.waiting.splice(0, count);
        one.position = entries.at(-1)?.number ?? one.position;
        const left = givenUpAt - performance.now();
        if (entries.length > 0) one.room.notify();
        if (entries.length > 0 || left <= 0 || isInterrupted) return entries;
        if (one.hasEnded) throw one.failure ?? new Error('the ordered consumer of a broadcast ended');
        await wake.wait(left);
      }
    },
    interrupt() {
      isInterrupted = true;
      wake.notify();
    },
    takeReconnected() {
      const was = hasReconnected;
      hasReconnected = false;
      return was;
    },
    async close() {
      stopListening();
      await stop();
    },
  };
}
