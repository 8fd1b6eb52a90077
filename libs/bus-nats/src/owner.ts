import type { ErasedEntries, GroupLag, Topic } from '@millrace/bus';
import { BOOTSTRAP_LOCK_MS } from '@millrace/bus/engine';
import type { Engine, GroupState, TracedEntry, TracedState } from '@millrace/bus/engine';
import { DeliverPolicy } from '@nats-io/jetstream';
import type { ConsumerInfo, StreamInfo } from '@nats-io/jetstream';
import { z } from 'zod';
import { isNoSuchMessage, isNotFound } from './connection.ts';
import type { Connection } from './connection.ts';
import { decodeFields, idOf, numberOf, toMap, toRawEntry } from './entries.ts';
import { markSchema } from './groups.ts';
import type { Groups } from './groups.ts';
import { leaseSchema, readHolder } from './leases.ts';
import type { Letters } from './letters.ts';
import { stateSubject, streamOf } from './names.ts';
import { readAll } from './read-all.ts';
import type { State } from './state.ts';

export interface OwnerDeps {
  readonly connection: Connection;
  readonly state: State;
  readonly groups: Groups;
  readonly letters: Letters;
}

/** Entries of one topic that are looked at for a key. */
const MAX_TRACED = 20_000;

/** `done`: how many were acknowledged, about; it goes on while a single entry keeps the floor where it is. */
const progressSchema = z.object({ floor: z.number(), done: z.number(), sinceMs: z.number() });
const seenSchema = z.object({ consumer: z.string() });

type OwnerMethods = Pick<Engine, 'lastId' | 'lag' | 'trim' | 'hasPassed' | 'erase' | 'describe' | 'trace' | 'dropGroup'>;

/** What owners and operators of topics do. */
export function createOwnerMethods(deps: OwnerDeps): OwnerMethods {
  const { groups, letters } = deps;
  return {
    async lastId({ name }) {
      const last = (await streamInfo(deps, name))?.state;
      return last === undefined || last.last_seq === 0 ? '0-0' : idOf(Date.parse(last.last_ts), last.last_seq);
    },
    lag: (topic, group) => readLag(deps, topic.name, group),
    trim: (topic, limits) => trimTopic(deps, topic.name, limits),
    async hasPassed(topic, group, id) {
      const info = await groups.info(topic, group);
      return info !== undefined && (info.ack_floor.stream_seq >= numberOf(id) || (info.num_pending === 0 && info.num_ack_pending === 0));
    },
    erase: (options) => eraseEntries(deps, options),
    describe: (topic) => describeTopic(deps, topic),
    trace: (topic, key, limit) => traceKey(deps, topic, { key, limit }),
    async dropGroup({ name }, group) {
      await groups.drop(name, group);
      await letters.removeAll(name, group);
    },
  };
}

async function streamInfo({ connection: { use } }: OwnerDeps, topic: string): Promise<StreamInfo | undefined> {
  try {
    return await use(({ jsm }) => jsm.streams.info(streamOf(topic)));
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

/** When the first entry behind this number was appended. */
async function timeBehind({ connection: { use } }: OwnerDeps, topic: string, floor: number): Promise<number | undefined> {
  try {
    return (await use(({ jsm }) => jsm.direct.getMessage(streamOf(topic), { seq: floor + 1, next_by_subj: '>' })))?.time.getTime();
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

async function readLag(deps: OwnerDeps, topic: string, group: string): Promise<GroupLag> {
  const [info, count] = await Promise.all([deps.groups.info(topic, group), deps.letters.count(topic, [group])]);
  const deadLetters = count.get(group) ?? 0;
  const messages = info ? info.num_pending + info.num_ack_pending : ((await streamInfo(deps, topic))?.state.messages ?? 0);
  if (messages === 0) return { messages, oldestAgeMs: 0, deadLetters };
  const oldest = await timeBehind(deps, topic, info?.ack_floor.stream_seq ?? 0);
  return { messages, oldestAgeMs: oldest === undefined ? 0 : Math.max(0, Date.now() - oldest), deadLetters };
}

async function trimTopic(deps: OwnerDeps, topic: string, { keep, stalledMs }: Parameters<Engine['trim']>[1]): Promise<Awaited<ReturnType<Engine['trim']>>> {
  const { state, groups } = deps;
  const stream = await streamInfo(deps, topic);
  const names = await groups.list(topic);
  // Nobody has said what may go.
  if (!stream || names.length === 0) return { removed: 0, passedOver: [], dropped: {} };
  const passedOver: string[] = [];
  let floor = stream.state.last_seq;
  for (const group of names) {
    const info = await groups.info(topic, group);
    const at = info?.ack_floor.stream_seq ?? 0;
    const isBehind = info === undefined || info.num_pending + info.num_ack_pending > 0;
    const mark = await state.get(stateSubject('mark', topic, group), markSchema);
    const isStalled = await standsStill(state, stateSubject('progress', topic, group), { floor: at, done: info === undefined ? 0 : info.delivered.stream_seq - info.num_ack_pending, isBehind, stalledMs });
    if (mark?.value.state === 'done' && isBehind && isStalled && (await state.put(stateSubject('mark', topic, group), { state: 'needed' }, mark.revision)) !== undefined) passedOver.push(group);
    const isPassedOver = passedOver.includes(group) || (mark?.value.state === 'needed' && isStalled && !(await isBootstrapping(state, topic, group)));
    if (!isPassedOver && isBehind) floor = Math.min(floor, at);
  }
  const upTo = Math.min(floor, stream.state.last_seq - keep);
  if (upTo < stream.state.first_seq) return { removed: 0, passedOver, dropped: {} };
  return { removed: await removeRange(deps, topic, { from: stream.state.first_seq, upTo }), passedOver, dropped: {} };
}

/** Requests that wait for the server at once. */
const REMOVED_AT_ONCE = 200;

/** One by one: a purge up to a sequence makes nats-server 2.9 forget what consumers have pending behind it (seen with 2.9.10), which would never come again. */
async function removeRange({ connection: { use } }: OwnerDeps, topic: string, { from, upTo }: { readonly from: number; readonly upTo: number }): Promise<number> {
  let removed = 0;
  for (let start = from; start <= upTo; start += REMOVED_AT_ONCE) {
    const numbers = Array.from({ length: Math.min(REMOVED_AT_ONCE, upTo - start + 1) }, (_, at) => start + at);
    const done = await use(({ jsm }) => Promise.all(numbers.map(async (number) => jsm.streams.deleteMessage(streamOf(topic), number, false).catch((error: unknown) => {
      // Erased before.
      if (isNotFound(error) || isNoSuchMessage(error)) return false;
      throw error;
    }))));
    removed += done.filter(Boolean).length;
  }
  return removed;
}

/** Has the group acknowledged nothing for so long, although there is something for it? */
async function standsStill(state: State, subject: string, { stalledMs, isBehind, ...now }: { readonly floor: number; readonly done: number; readonly isBehind: boolean; readonly stalledMs: number }): Promise<boolean> {
  const before = (await state.get(subject, progressSchema))?.value;
  const isSame = before?.floor === now.floor && now.done <= before.done;
  if (isSame && isBehind) return Date.now() - before.sinceMs >= stalledMs;
  if (!isSame || Date.now() - before.sinceMs > stalledMs / 2)
    // A server without room takes no notes, and is trimmed all the same.
    await state.set(subject, { ...now, sinceMs: Date.now() }).catch(() => undefined);
  return false;
}

/** Its export may be older than what comes now: that is kept until it is done, or the lock has died with its holder. By the server's clock alone. */
async function isBootstrapping(state: State, topic: string, group: string): Promise<boolean> {
  const [lock, now] = [stateSubject('lock', topic, group), stateSubject('now', topic, group)];
  const held = await state.get(lock, leaseSchema);
  if (!held || held.value.isFree) return false;
  // A server without room takes nothing: trimming goes on by our clock.
  const noted = await state.set(now, {}).then(() => state.get(now, z.unknown()), () => undefined);
  return (noted?.atUs ?? Date.now() * 1_000) - held.atUs < BOOTSTRAP_LOCK_MS * 1_000;
}

async function eraseEntries({ connection: { use }, groups }: OwnerDeps, { topic: { name }, isTheirs, isForced }: Parameters<Engine['erase']>[0]): Promise<ErasedEntries> {
  const theirs: number[] = [];
  await readAll(use, streamOf(name), { deliver_policy: DeliverPolicy.All }, ({ number, data }) => {
    if (isTheirs(toMap(decodeFields(data)))) theirs.push(number);
    return true;
  }).catch((error: unknown) => {
    // A topic that nobody has used.
    if (!isNotFound(error)) throw error;
  });
  const infos = await Promise.all((await groups.list(name)).map((group) => groups.info(name, group)));
  const passed = Math.min(...infos.map((info) => (info && info.num_pending + info.num_ack_pending === 0 ? Infinity : (info?.ack_floor.stream_seq ?? 0))));
  const going = isForced ? theirs : theirs.filter((number) => number <= passed);
  // Overwritten on the disk, too.
  for (const number of going) await use(({ jsm }) => jsm.streams.deleteMessage(streamOf(name), number, true)).catch((error: unknown) => {
    if (!isNotFound(error) && !isNoSuchMessage(error)) throw error;
  });
  return { erased: going.length, due: theirs.length - going.length };
}

async function describeGroup(deps: OwnerDeps, topic: string, group: string): Promise<GroupState> {
  const { state, groups } = deps;
  const [info, lag, mark, holder] = await Promise.all([groups.info(topic, group), readLag(deps, topic, group), state.get(stateSubject('mark', topic, group), markSchema), readHolder(state, topic, group)]);
  const seen = await Promise.all((await state.list(stateSubject('seen', topic, group, '*'))).map((subject) => state.get(subject, seenSchema)));
  return {
    group, pending: info?.num_ack_pending ?? 0, unread: info?.num_pending ?? lag.messages, delayed: 0, oldestAgeMs: lag.oldestAgeMs, deadLetters: lag.deadLetters,
    bootstrap: mark === undefined ? 'none' : mark.value.state === 'done' ? 'done' : 'needs-bootstrap', holder: holder?.holder,
    consumers: seen.flatMap((one) => (one ? [{ consumer: one.value.consumer, pending: 0, idleMs: Math.max(0, Date.now() - one.atUs / 1_000) }] : [])),
  };
}

async function describeTopic(deps: OwnerDeps, { name }: Topic): Promise<Awaited<ReturnType<Engine['describe']>>> {
  const stream = await streamInfo(deps, name);
  const names = await deps.groups.list(name);
  const { messages = 0, bytes = 0, first_seq: first = 0, first_ts: firstTime = '', last_seq: last = 0, last_ts: lastTime = '' } = stream?.state ?? {};
  return {
    stream: streamOf(name), length: messages, bytes,
    firstId: messages === 0 ? undefined : idOf(Date.parse(firstTime), first), lastId: last === 0 ? undefined : idOf(Date.parse(lastTime), last),
    groups: await Promise.all(names.map((group) => describeGroup(deps, name, group))),
  };
}

/** JetStream does not tell which entries are pending: those between what is acknowledged and what was delivered count as such. */
function stateOf(group: string, info: ConsumerInfo | undefined, number: number): TracedState {
  const state = info === undefined || number > info.delivered.stream_seq ? 'unread' : number <= info.ack_floor.stream_seq || info.num_ack_pending === 0 ? 'acknowledged' : 'pending';
  return { group, state, consumer: undefined, idleMs: undefined };
}

async function traceKey(deps: OwnerDeps, topic: Topic, { key, limit }: { readonly key: string; readonly limit: number }): Promise<Awaited<ReturnType<Engine['trace']>>> {
  const stream = await streamInfo(deps, topic.name);
  const empty = { stream: streamOf(topic.name), partition: 0, entries: [], isComplete: true };
  if (!stream || stream.state.messages === 0) return empty;
  const from = Math.max(1, stream.state.last_seq - MAX_TRACED + 1);
  const found: { readonly id: string; readonly number: number; readonly named: ReadonlyMap<string, string> }[] = [];
  await readAll(deps.connection.use, streamOf(topic.name), { deliver_policy: DeliverPolicy.StartSequence, opt_start_seq: from }, (message) => {
    const { id, fields } = toRawEntry(message);
    const named = toMap(fields);
    if (named.get(topic.options.keyField ?? 'key') === key) found.push({ id, number: message.number, named });
    return true;
  });
  const infos = await Promise.all((await deps.groups.list(topic.name)).map(async (group) => ({ group, info: await deps.groups.info(topic.name, group) })));
  const entries = found.toReversed().slice(0, limit).map(({ id, number, named }): TracedEntry => ({
    id, eventType: named.get('event_type') ?? '', eventId: named.get('id') ?? '', timestamp: named.get('timestamp') ?? '',
    version: named.has('version') ? Number(named.get('version')) : undefined, groups: infos.map(({ group, info }) => stateOf(group, info, number)),
  }));
  return { ...empty, entries, isComplete: found.length <= limit && stream.state.first_seq >= from };
}
