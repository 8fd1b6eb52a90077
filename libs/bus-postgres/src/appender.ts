import { describeError, isUnavailable, wireFields } from '@millrace/bus';
import type { AppendOptions, BusLogger, Topic, WireEvent } from '@millrace/bus';
import { Counter } from 'prom-client';
import type { Registry } from 'prom-client';
import type { Client } from './client.ts';
import { numberOf, plain, toText } from './rows.ts';
import type { TopicWatcher } from './watcher.ts';

interface Waiting {
  readonly topic: Topic;
  readonly events: readonly WireEvent[];
  readonly done: PromiseWithResolvers<number>;
  /** Why it is not to be appended any more. */
  readonly givenUp: () => { readonly reason: unknown } | undefined;
}

export interface AppenderDeps {
  readonly client: Client;
  readonly watcher: TopicWatcher;
  readonly logger: BusLogger;
  readonly metrics: Registry | undefined;
}

/** Events of one statement: longer ones would keep the topic's lock too long. */
const MAX_EVENTS = 1_000;
/** JSON text has no raw control characters. As an array each of its many quotes would be escaped and read one by one, which is half of what an append costs. */
const SEPARATOR = '\u001E';
/** Looks for what a capped topic has too much of so often. */
const CAP_EVERY = 100;

export type Append = (topic: Topic, events: readonly WireEvent[], options?: AppendOptions) => Promise<number>;

type Send = (topic: Topic, events: readonly WireEvent[]) => Promise<number>;

/** One statement and its commit. */
function createSend(deps: AppenderDeps): Send {
  const { client: { run, schema }, watcher } = deps;
  const cap = createCap(deps);
  return async (topic, events) => {
    const { dedupMs = 0, maxLength } = topic.options;
    const [row] = await run(`select ${schema}.append($1, $2, string_to_array($3, '${SEPARATOR}'), $4, $5) as id`, [
      topic.name, events.map(({ key }) => plain(key)), events.map((event) => JSON.stringify(wireFields(topic, event))).join(SEPARATOR), dedupMs > 0 ? events.map(({ id }) => plain(id)) : [], dedupMs,
    ]);
    const number = numberOf(toText(row?.['id']));
    watcher.published(topic.name, number);
    if (maxLength !== undefined) await cap(topic.name, { number, count: events.length, maxLength });
    return number;
  };
}

interface Capped {
  readonly number: number;
  /** Events that were appended now. */
  readonly count: number;
  readonly maxLength: number;
}

/** Never rejects: the events behind which it comes are committed. What failed is tried again behind the topic's next append. */
function createCap({ client: { run, schema }, logger, metrics }: AppenderDeps): (topic: string, at: Capped) => Promise<void> {
  const existing = metrics?.getSingleMetric('bus_postgres_cap_failures_total');
  const failures = existing instanceof Counter ? existing : metrics && new Counter({ name: 'bus_postgres_cap_failures_total', help: 'Times that a topic with a length could not be cut to it', labelNames: ['topic'], registers: [metrics] });
  const overdue = new Set<string>();
  return async (topic, { number, count, maxLength }) => {
    if (number % CAP_EVERY >= count && !overdue.delete(topic)) return;
    try {
      await run(`delete from ${schema}.events where ctid = any(array(select ctid from ${schema}.events where topic = $1 and number <= $2 order by number limit 5000))`, [topic, number - maxLength]);
    } catch (error) {
      overdue.add(topic);
      failures?.inc({ topic });
      logger.warn({ topic, maxLength, error: describeError(error) }, 'a topic could not be cut to its length: tried again at the next append');
    }
  };
}

/**
 * Appends in the order of the calls. While one statement of a topic is under way the calls behind it gather, and go together: their commit is shared, and each is
 * told when its own events are durable. NOTIFY follows the commit, in a statement of its own that nobody waits for. Of a call that has failed or was given up, nothing
 * more is sent.
 */
export function createAppender(deps: AppenderDeps): Append {
  const queues = new Map<string, Waiting[]>();
  const busy = new Set<string>();
  const send = createSend(deps);
  /** Those of several calls that fail together are tried alone: nobody's events fail for another's. */
  const sendAll = async (given: readonly Waiting[]): Promise<void> => {
    const batch = given.filter(({ done, givenUp }) => {
      const over = givenUp();
      if (over) done.reject(over.reason);
      return !over;
    });
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
  const enqueue = (topic: Topic, events: readonly WireEvent[], givenUp: Waiting['givenUp']): Promise<number> => {
    const done = Promise.withResolvers<number>();
    let queue = queues.get(topic.name);
    if (!queue) queues.set(topic.name, (queue = []));
    queue.push({ topic, events, done, givenUp });
    if (!busy.has(topic.name)) void drain(topic.name, queue);
    return done.promise;
  };
  return async (topic, events, { signal } = {}) => {
    let failed: { readonly reason: unknown } | undefined;
    const givenUp: Waiting['givenUp'] = () => failed ?? (signal?.aborted ? { reason: signal.reason } : undefined);
    const parts = Array.from({ length: Math.max(1, Math.ceil(events.length / MAX_EVENTS)) }, (_, at) => enqueue(topic, events.slice(at * MAX_EVENTS, (at + 1) * MAX_EVENTS), givenUp));
    for (const part of parts) part.catch((reason: unknown) => void (failed ??= { reason }));
    return (await Promise.all(parts)).at(-1) ?? 0;
  };
}
