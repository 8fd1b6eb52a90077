import type { RawEntry } from '@millrace/bus';
import { GroupMissingError, LeaseLostError, runBootstrap } from '@millrace/bus/engine';
import type { GroupLog, LogOf } from '@millrace/bus/engine';
import { nanos } from '@nats-io/transport-node';
import { z } from 'zod';
import { isNoRoom } from './connection.ts';
import { createBootstrapLock } from './bootstrap-lock.ts';
import type { Connection } from './connection.ts';
import { toRawEntry } from './entries.ts';
import { markSchema } from './groups.ts';
import type { Groups } from './groups.ts';
import { readHolder } from './leases.ts';
import type { Letters } from './letters.ts';
import { stateSubject, streamOf } from './names.ts';
import { UnansweredError } from './pull.ts';
import type { Delivered } from './pull.ts';
import { createReading, DeliveryMissedError } from './reading.ts';
import type { Reading } from './reading.ts';
import { createSightings, forgetUnseen } from './sightings.ts';
import type { State } from './state.ts';

export interface NatsLogDeps {
  readonly connection: Connection;
  readonly state: State;
  readonly groups: Groups;
  readonly letters: Letters;
  /** How long one request of a reader waits at the server. */
  readonly waitMs: number;
}

const notesSchema = z.object({ attempts: z.number(), firstMs: z.number() });
type Notes = z.output<typeof notesSchema>;

interface Held {
  readonly entry: RawEntry;
  readonly number: number;
  delivery: number;
  reply: string;
}

/** What a consumer has of a group: JetStream tells nobody else of it, so it is kept here. */
interface Holding {
  readonly held: Map<string, Held>;
  /** Put off, by id: when they are due, by Date.now(). They come again as deliveries, to whoever asks first. */
  readonly putOff: Map<string, number>;
  /** Delivered again: put off by us, or let go by others. */
  readonly due: Set<string>;
  readonly taken: Set<string>;
  /** Acknowledged by this process. What was on its way again by then comes nevertheless, and after a new consumer of a leased group everything above the floor. */
  readonly acknowledged: Map<string, Pick<Held, 'number' | 'delivery'>>;
  /** The group's consumer in JetStream. */
  consumer: string | undefined;
  readonly reading: Reading;
  hasReconnected: boolean;
}

const MAX_ACKNOWLEDGED = 5_000;
/** A delivery that was put off and has not come back by then went to another consumer. */
const STALE_MS = 5_000;
const SOON_MS = 10;

const createHolding = ({ connection, waitMs }: NatsLogDeps, { topic, fencingToken }: LogOf): Holding => ({
  held: new Map(), putOff: new Map(), due: new Set(), taken: new Set(), acknowledged: new Map(), consumer: undefined, hasReconnected: false,
  reading: createReading(connection, streamOf(topic.name), { isOnly: fencingToken !== undefined, waitMs }),
});

/** One consumer's view of a group: a durable pull consumer, and what this process was given of it. */
export function createNatsGroupLog(deps: NatsLogDeps, of: LogOf): GroupLog {
  const { connection, state, groups } = deps;
  const { topic, group, canBootstrap, claimIdleMs, fencingToken } = of;
  const holding = createHolding(deps, of);
  const stopFollowing = connection.onReconnect(() => {
    holding.hasReconnected = true;
    // What was delivered and lost on the way comes again from a new consumer.
    if (fencingToken !== undefined) holding.consumer = undefined;
  });
  let waking = new AbortController();
  const seen = createSightings(state, of);
  const consumerName = (): Promise<string> => findConsumer(deps, of, holding);
  return {
    ...entryMethods(deps, of, holding),
    ...takeMethods(holding, consumerName),
    async register() {
      holding.consumer = undefined;
      const isNew = await groups.register(of, canBootstrap);
      // It begins at the start of the topic.
      if (isNew) holding.acknowledged.clear();
      if (fencingToken === undefined) await groups.setAckWait(of, claimIdleMs);
      return isNew;
    },
    bootstrap: (read, signal) => runBootstrap(createBootstrapLock(state, of), read, signal),
    needsBootstrap: async () => canBootstrap && (await state.get(stateSubject('mark', topic.name, group), markSchema))?.value.state === 'needed',
    async read(count, blockMs) {
      waking = new AbortController();
      const { signal } = waking;
      seen();
      try {
        const name = await consumerName();
        const messages = await holding.reading.read(name, { count, blockMs, signal });
        const { fresh, again } = receive(holding, messages, fencingToken !== undefined);
        if (again.length > 0) await connection.use(async ({ nc }) => again.forEach((reply) => nc.publish(reply, '+ACK')));
        return fresh;
      } catch (error) {
        const isMissing = error instanceof GroupMissingError || (error instanceof UnansweredError && (await groups.info(topic.name, group)) === undefined);
        if (isMissing || error instanceof DeliveryMissedError) {
          holding.consumer = undefined;
          await requireLease(state, of);
        }
        throw isMissing ? new GroupMissingError(`the group ${group} of ${topic.name} is gone`, { cause: error }) : error;
      }
    },
    interrupt: () => waking.abort(),
    wake: () => waking.abort(),
    takeReconnected() {
      const was = holding.hasReconnected;
      holding.hasReconnected = false;
      return was;
    },
    removeIdleConsumers: (idleMs) => forgetUnseen(state, of, idleMs),
    async close() {
      stopFollowing();
      await leave(deps, of, holding);
    },
  };
}

/** Others need not wait for ack_wait; a leased group's next holder begins behind what is acknowledged anyway. */
async function leave({ connection, state }: NatsLogDeps, { topic, group, consumer, fencingToken }: LogOf, holding: Holding): Promise<void> {
  // Where the server is away there is nothing to tidy up.
  if (connection.lost().aborted) return;
  await connection.use(async ({ nc }) => {
    const giveBack = (all: readonly { readonly reply: string }[]): void => {
      if (fencingToken === undefined) for (const { reply } of all) nc.publish(reply, '-NAK');
    };
    giveBack(given(holding));
    connection.linger(holding.reading.finish().then((unread) => {
      giveBack(unread);
      return nc.flush();
    }));
    await nc.flush();
  }).catch(() => undefined);
  await state.remove(stateSubject('seen', topic.name, group, consumer)).catch(() => undefined);
}

/** Of a leased group: a new one at the start, and after each lost connection. */
async function findConsumer({ state, groups }: NatsLogDeps, of: LogOf, holding: Holding): Promise<string> {
  if (holding.consumer !== undefined) return holding.consumer;
  if (of.fencingToken === undefined) {
    const doc = await groups.find(of.topic.name, of.group);
    if (!doc) throw new GroupMissingError(`the group ${of.group} of ${of.topic.name} is gone`);
    return (holding.consumer = doc.value.consumer);
  }
  await requireLease(state, of);
  return (holding.consumer = await groups.replaceConsumer(of, of.fencingToken));
}

const given = ({ held }: Holding): Held[] => [...held.values()].toSorted((a, b) => a.number - b.number);

/** What a consumer may take: what this process was given, and what came back. */
function takeMethods(holding: Holding, consumerName: () => Promise<string>): Pick<GroupLog, 'pending' | 'adopt' | 'takeDue' | 'reclaim'> {
  return {
    pending: async () => ({ items: given(holding).map(({ entry }) => entry.id), next: undefined }),
    async adopt() {
      await consumerName();
      return { items: given(holding).map(({ entry }) => entry), next: undefined, deleted: 0 };
    },
    async takeDue() {
      const now = Date.now();
      for (const [id, at] of holding.putOff) if (at + STALE_MS < now) holding.putOff.delete(id);
      const ids = [...holding.due];
      holding.due.clear();
      const next = Math.min(...holding.putOff.values());
      return { ids, deleted: 0, nextInMs: Number.isFinite(next) ? Math.max(SOON_MS, next - now) : undefined, waiting: holding.putOff.size };
    },
    async reclaim() {
      const ids = [...holding.taken];
      holding.taken.clear();
      return { ids, deleted: 0 };
    },
  };
}

/** What is new. What is delivered again goes to those that wait for it; in a leased group it is in hand, or was acknowledged (`again`: where to say so once more). */
function receive({ held, putOff, due, taken, acknowledged }: Holding, messages: readonly Delivered[], isLeased: boolean): { readonly fresh: readonly RawEntry[]; readonly again: readonly string[] } {
  const fresh: RawEntry[] = [];
  const again: string[] = [];
  for (const message of messages) {
    const entry = toRawEntry(message);
    const known = held.get(entry.id);
    const done = acknowledged.get(entry.id);
    if (known) Object.assign(known, { reply: message.reply, delivery: message.delivery });
    // A consumer that was made anew by hand counts from 1 again, and means it.
    else if (done && (isLeased || message.delivery > done.delivery)) again.push(message.reply);
    else {
      held.set(entry.id, { entry, number: message.number, delivery: message.delivery, reply: message.reply });
      if (isLeased || message.deliveries === 1) fresh.push(entry);
      else if (putOff.delete(entry.id)) due.add(entry.id);
      else taken.add(entry.id);
    }
  }
  return { fresh, again };
}

/** A holder that stood still must not act for the group any more. */
async function requireLease(state: State, { topic, group, fencingToken }: LogOf): Promise<void> {
  if (fencingToken !== undefined && (await readHolder(state, topic.name, group))?.token !== fencingToken) throw new LeaseLostError('the lease of the topic has gone to another consumer');
}

/** How often entries were handled singly: written before each handling, so that a crash in it counts. */
function createNotes(state: State, { topic, group }: LogOf) {
  const notes = new Map<string, Notes>();
  // By id: a stream that was lost gives its numbers again.
  const subjectOf = ({ entry }: Held): string => stateSubject('attempts', topic.name, group, entry.id);
  return {
    get: async (held: Held): Promise<Notes> => notes.get(held.entry.id) ?? (await state.get(subjectOf(held), notesSchema))?.value ?? { attempts: 1, firstMs: Date.now() },
    async write(held: Held, value: Notes): Promise<void> {
      notes.set(held.entry.id, value);
      // Consuming is what makes room: without any, a crash does not count.
      await state.set(subjectOf(held), value).catch((error: unknown) => {
        if (!isNoRoom(error)) throw error;
      });
    },
    async forget(held: Held): Promise<void> {
      // A note of an entry that nobody holds is of no use, and does no harm.
      if (notes.delete(held.entry.id)) await state.remove(subjectOf(held)).catch(() => undefined);
    },
  };
}

/** In a leased group what is below everything in hand cannot come again; elsewhere only what was on its way can. */
function boundAcknowledged({ held, acknowledged }: Holding, isLeased: boolean): void {
  if (acknowledged.size <= MAX_ACKNOWLEDGED) return;
  const lowest = Math.min(...[...held.values()].map(({ number }) => number));
  for (const [id, { number }] of acknowledged) if (isLeased ? number < lowest : acknowledged.size > MAX_ACKNOWLEDGED / 2) acknowledged.delete(id);
}

/** What becomes of one entry. */
function entryMethods({ connection, state, letters }: NatsLogDeps, of: LogOf, holding: Holding): Pick<GroupLog, 'ack' | 'claim' | 'release' | 'park' | 'delay' | 'touch'> {
  const { topic, group, consumer, fencingToken } = of;
  const notes = createNotes(state, of);
  const find = (ids: readonly string[]): Held[] => ids.flatMap((id) => holding.held.get(id) ?? []);
  /** Tells the server, which has it when this resolves. */
  const tell = (all: readonly Held[], what: string): Promise<void> =>
    connection.use(async ({ nc }) => {
      if (connection.lost().aborted) throw Object.assign(new Error('the connection was lost'), { name: 'ConnectionError' });
      for (const { reply } of all) nc.publish(reply, what);
      await nc.flush();
    });
  const forget = async (all: readonly Held[], isTracked: boolean): Promise<void> => {
    for (const one of all) {
      holding.held.delete(one.entry.id);
      holding.acknowledged.set(one.entry.id, { number: one.number, delivery: one.delivery });
      if (isTracked) await notes.forget(one);
    }
    boundAcknowledged(holding, fencingToken !== undefined);
  };
  return {
    async ack(ids, tracked) {
      const all = find(ids);
      await tell(all, '+ACK');
      await forget(all, tracked);
    },
    async claim(id, maxAttempts) {
      const held = holding.held.get(id);
      if (!held) return { kind: 'gone' };
      await requireLease(state, of);
      const { attempts, firstMs } = await notes.get(held);
      if (attempts >= maxAttempts) return { kind: 'exhausted', attempts };
      await notes.write(held, { attempts: attempts + 1, firstMs });
      return { kind: 'claimed', attempts: attempts + 1, entry: held.entry };
    },
    async release(id, attempts) {
      const held = holding.held.get(id);
      if (held) await notes.write(held, { ...(await notes.get(held)), attempts });
    },
    async park(id, reason, attempts) {
      const held = holding.held.get(id);
      if (!held) return undefined;
      await requireLease(state, of);
      const { firstMs } = await notes.get(held);
      await letters.add(topic.name, group, { sourceId: id, reason, consumer, attempts, firstMs, fields: held.entry.fields });
      await tell([held], '+ACK');
      await forget([held], true);
      return 0;
    },
    async delay(id, delayMs) {
      const held = holding.held.get(id);
      if (!held) return;
      await tell([held], `-NAK ${JSON.stringify({ delay: nanos(Math.round(delayMs)) })}`);
      holding.held.delete(id);
      holding.putOff.set(id, Date.now() + delayMs);
    },
    touch: (ids) => tell(find(ids), '+WPI'),
  };
}
