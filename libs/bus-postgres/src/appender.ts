import { isUnavailable, wireFields } from '@millrace/bus';
import type { Topic, WireEvent } from '@millrace/bus';
import type { Client } from './client.ts';
import { numberOf, plain, toText } from './rows.ts';
import type { TopicWatcher } from './watcher.ts';

interface Waiting {
  readonly topic: Topic;
  readonly events: readonly WireEvent[];
  readonly done: PromiseWithResolvers<number>;
}

/** Events of one statement: longer ones would keep the topic's lock too long. */
const MAX_EVENTS = 1_000;
/** Looks for what a capped topic has too much of so often. */
const CAP_EVERY = 100;

export type Append = (topic: Topic, events: readonly WireEvent[]) => Promise<number>;

/**
 * Appends in the order of the calls. While one statement of a topic is under way the calls behind it gather, and go together: their commit is shared, and each is
 * told when its own events are durable. NOTIFY follows the commit, in a statement of its own that nobody waits for.
 */
export function createAppender({ run, schema }: Client, watcher: TopicWatcher): Append {
  const queues = new Map<string, Waiting[]>();
  const busy = new Set<string>();

  const send = async (topic: Topic, events: readonly WireEvent[]): Promise<number> => {
    const { dedupMs = 0, maxLength } = topic.options;
    const [row] = await run(`select ${schema}.append($1, $2, $3, $4, $5) as id`, [
      topic.name, events.map(({ key }) => plain(key)), events.map((event) => JSON.stringify(wireFields(topic, event))), events.map(({ id }) => plain(id)), dedupMs,
    ]);
    const number = numberOf(toText(row?.['id']));
    watcher.published(topic.name, number);
    if (maxLength !== undefined && number % CAP_EVERY < events.length) await cap(topic.name, number - maxLength);
    return number;
  };
  const cap = async (topic: string, upTo: number): Promise<void> => {
    await run(`delete from ${schema}.events where ctid = any(array(select ctid from ${schema}.events where topic = $1 and number <= $2 order by number limit 5000))`, [topic, upTo]);
  };
  /** Those of several calls that fail together are tried alone: nobody's events fail for another's. */
  const sendAll = async (batch: readonly Waiting[]): Promise<void> => {
    const [first] = batch;
    if (!first) return;
    try {
      const number = await send(first.topic, batch.flatMap(({ events }) => events));
      for (const { done } of batch) done.resolve(number);
    } catch (error) {
      if (batch.length === 1 || isUnavailable(error)) for (const { done } of batch) done.reject(error);
      else for (const one of batch) await sendAll([one]);
    }
  };
  const drain = async (name: string, queue: Waiting[]): Promise<void> => {
    busy.add(name);
    while (queue.length > 0) {
      let [count, events] = [0, 0];
      while (count < queue.length && (count === 0 || events + (queue[count]?.events.length ?? 0) <= MAX_EVENTS)) events += queue[count++]?.events.length ?? 0;
      await sendAll(queue.splice(0, count));
    }
    busy.delete(name);
  };
  const enqueue = (topic: Topic, events: readonly WireEvent[]): Promise<number> => {
    const done = Promise.withResolvers<number>();
    let queue = queues.get(topic.name);
    if (!queue) queues.set(topic.name, (queue = []));
    queue.push({ topic, events, done });
    if (!busy.has(topic.name)) void drain(topic.name, queue);
    return done.promise;
  };
  return async (topic, events) => {
    const parts = Array.from({ length: Math.max(1, Math.ceil(events.length / MAX_EVENTS)) }, (_, at) => enqueue(topic, events.slice(at * MAX_EVENTS, (at + 1) * MAX_EVENTS)));
    const settled = await Promise.allSettled(parts);
    for (const one of settled) if (one.status === 'rejected') throw one.reason;
    const last = settled.at(-1);
    return last?.status === 'fulfilled' ? last.value : 0;
  };
}
