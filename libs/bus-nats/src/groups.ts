import type { Topic } from '@millrace/bus';
import { LeaseLostError } from '@millrace/bus/engine';
import { AckPolicy, DeliverPolicy } from '@nats-io/jetstream';
import type { ConsumerInfo } from '@nats-io/jetstream';
import { nanos } from '@nats-io/transport-node';
import { z } from 'zod';
import { ensureStream, isNotFound } from './connection.ts';
import type { Connection } from './connection.ts';
import { stateSubject, streamOf, subjectOf, token } from './names.ts';
import type { State, Stored } from './state.ts';

/** Which durable consumer is the group's now. `floor`: everything up to there was acknowledged when it was made; `token`: the lease that it was made for, 0 without one. */
const groupSchema = z.object({ group: z.string(), consumer: z.string(), floor: z.number(), token: z.number().default(0) });
export type GroupDoc = z.output<typeof groupSchema>;
export const markSchema = z.object({ state: z.enum(['needed', 'done']) });

export interface GroupOf {
  readonly topic: Topic;
  readonly group: string;
}

export interface Groups {
  /** Makes the stream of a topic where it is not there. */
  ensureTopic(topic: Topic): Promise<void>;
  register(of: GroupOf, canBootstrap: boolean): Promise<boolean>;
  find(topic: string, group: string): Promise<Stored<GroupDoc> | undefined>;
  /** Where a group's consumer stands; undefined where it is not there. */
  info(topic: string, group: string): Promise<ConsumerInfo | undefined>;
  list(topic: string): Promise<readonly string[]>;
  /** How long the server waits for an acknowledgement before it gives an entry to another consumer. */
  setAckWait(of: GroupOf, ms: number): Promise<void>;
  /**
   * A new consumer that begins behind what is acknowledged, in place of the old one: what is pending comes again, in its order, and acknowledgements of whoever had the
   * old one have no effect. @throws LeaseLostError where another holder did the same meanwhile
   */
  replaceConsumer(of: GroupOf, fencingToken: number): Promise<string>;
  drop(topic: string, group: string): Promise<void>;
}

const ACK_WAIT_MS = 30_000;
/** A holder's entries are its own until its lease is another's. */
const LEASED_ACK_WAIT_MS = 3_600_000;
/** More than the policy puts off and holds. */
const MAX_ACK_PENDING = 20_000;

/** The durable consumers of a topic. */
function createConsumers({ use }: Connection) {
  const consumerInfo = async (topic: string, consumer: string): Promise<ConsumerInfo | undefined> => {
    try {
      return await use(({ jsm }) => jsm.consumers.info(streamOf(topic), consumer));
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  };
  const addConsumer = async (topic: string, name: string, { after, ackWaitMs }: { readonly after: number; readonly ackWaitMs: number }): Promise<void> =>
    use(async ({ jsm }) => {
      const start = after === 0 ? { deliver_policy: DeliverPolicy.All } : { deliver_policy: DeliverPolicy.StartSequence, opt_start_seq: after + 1 };
      await jsm.consumers.add(streamOf(topic), { durable_name: name, ack_policy: AckPolicy.Explicit, ack_wait: nanos(ackWaitMs), max_deliver: -1, max_ack_pending: MAX_ACK_PENDING, ...start });
    });
  const removeConsumer = async (topic: string, name: string): Promise<void> => {
    await use(({ jsm }) => jsm.consumers.delete(streamOf(topic), name)).catch((error: unknown) => {
      if (!isNotFound(error)) throw error;
    });
  };
  return { consumerInfo, addConsumer, removeConsumer };
}

export function createGroups(connection: Connection, state: State): Groups {
  const { use, replicas } = connection;
  const subject = (topic: string, group: string): string => stateSubject('group', topic, group);
  const find = (topic: string, group: string): Promise<Stored<GroupDoc> | undefined> => state.get(subject(topic, group), groupSchema);
  const { consumerInfo, addConsumer, removeConsumer } = createConsumers(connection);
  const ensureTopic = ({ name, options }: Topic): Promise<void> =>
    use(({ jsm }) => ensureStream(jsm, {
      name: streamOf(name), subjects: [subjectOf(name)], num_replicas: replicas,
      ...(options.maxLength !== undefined && { max_msgs: options.maxLength }),
      ...(options.dedupMs !== undefined && { duplicate_window: nanos(options.dedupMs) }),
    }));
  const info = async (topic: string, group: string): Promise<ConsumerInfo | undefined> => {
    const doc = await find(topic, group);
    return doc && consumerInfo(topic, doc.value.consumer);
  };
  return {
    ensureTopic, find, info,
    async register({ topic, group }, canBootstrap) {
      await ensureTopic(topic);
      const doc = await find(topic.name, group);
      const isNew = doc === undefined || (await consumerInfo(topic.name, doc.value.consumer)) === undefined;
      const mark = stateSubject('mark', topic.name, group);
      if (isNew) {
        await addConsumer(topic.name, token(group), { after: 0, ackWaitMs: ACK_WAIT_MS });
        // A stream that was lost took the consumer along: the group begins again.
        if (canBootstrap && doc !== undefined) await state.set(mark, { state: 'needed' });
        await state.put(subject(topic.name, group), { group, consumer: token(group), floor: 0, token: doc?.value.token ?? 0 }, doc?.revision ?? 0);
      }
      if (canBootstrap && (await state.get(mark, markSchema)) === undefined) await state.put(mark, { state: 'needed' }, 0);
      return isNew;
    },
    async list(topic) {
      const found = await Promise.all((await state.list(stateSubject('group', topic, '*'))).map((one) => state.get(one, groupSchema)));
      return found.flatMap((one) => (one ? [one.value.group] : [])).toSorted();
    },
    async setAckWait({ topic, group }, ms) {
      const doc = await find(topic.name, group);
      const found = doc && (await consumerInfo(topic.name, doc.value.consumer));
      if (found && found.config.ack_wait !== nanos(ms)) await use(({ jsm }) => jsm.consumers.update(streamOf(topic.name), found.name, { ack_wait: nanos(ms) }));
    },
    replaceConsumer: (of, fencingToken) => replaceConsumer({ connection, state, find, subject }, of, fencingToken),
    async drop(topic, group) {
      const doc = await find(topic, group);
      if (doc) await removeConsumer(topic, doc.value.consumer);
      for (const kind of ['group', 'mark', 'lease', 'lock', 'progress', 'now'] as const) await state.remove(stateSubject(kind, topic, group));
      for (const kind of ['attempts', 'seen'] as const) await state.remove(stateSubject(kind, topic, group, '*'));
    },
  };
}

interface ReplaceDeps {
  readonly connection: Connection;
  readonly state: State;
  readonly find: Groups['find'];
  readonly subject: (topic: string, group: string) => string;
}

async function replaceConsumer({ connection, state, find, subject }: ReplaceDeps, { topic, group }: GroupOf, fencingToken: number): Promise<string> {
  const { use } = connection;
  const { consumerInfo, addConsumer, removeConsumer } = createConsumers(connection);
  const doc = await find(topic.name, group);
  // One that stood still since it had looked at its lease: the group is a later holder's.
  if (doc !== undefined && doc.value.token > fencingToken) throw new LeaseLostError('the lease of the topic has gone to another consumer');
  const old = doc && (await consumerInfo(topic.name, doc.value.consumer));
  const last = (await use(({ jsm }) => jsm.streams.info(streamOf(topic.name)))).state.last_seq;
  const floor = Math.max(old?.ack_floor.stream_seq ?? 0, doc?.value.floor ?? 0);
  const after = floor > last ? 0 : floor;
  const consumer = `${token(group)}--${fencingToken}-${Date.now()}`;
  await addConsumer(topic.name, consumer, { after, ackWaitMs: LEASED_ACK_WAIT_MS });
  if ((await state.put(subject(topic.name, group), { group, consumer, floor: after, token: fencingToken }, doc?.revision ?? 0)) === undefined) {
    await removeConsumer(topic.name, consumer);
    throw new LeaseLostError('another consumer took the group over at the same time');
  }
  if (doc) await removeConsumer(topic.name, doc.value.consumer);
  return consumer;
}
