import type { Lease, LeaseTable } from '../assignment.ts';
import { pause } from '../backoff.ts';
import { LeaseLostError } from '../errors.ts';
import type { BootstrapNeed, GroupLog } from '../group-log.ts';
import type { MemoryGroup, MemoryTopic } from './memory-topic.ts';

export function groupOf(topic: MemoryTopic, name: string): MemoryGroup {
  let found = topic.groups.get(name);
  if (!found) topic.groups.set(name, (found = { next: 0, pending: new Map(), deadLetters: [], delayed: new Map(), bootstrap: 'needed', lease: undefined, leases: 0, members: new Set() }));
  return found;
}

/** The group, as long as this consumer may touch it. */
interface Own {
  readonly topic: MemoryTopic;
  readonly name: string;
  readonly consumer: string;
  readonly lease: Lease | undefined;
}

function openGroup({ topic, name, lease }: Own): MemoryGroup {
  const found = groupOf(topic, name);
  if (lease && found.lease?.fencingToken !== lease.fencingToken) throw new LeaseLostError("the lease is another consumer's");
  return found;
}

function ownPending(own: Own, id: string) {
  const pending = openGroup(own).pending.get(id);
  return pending?.consumer === own.consumer ? pending : undefined;
}

/** One consumer's view of a group in memory. */
export function createMemoryGroupLog(topic: MemoryTopic, name: string, consumer: string, lease?: Lease): GroupLog {
  const own: Own = { topic, name, consumer, lease };
  const group = (): MemoryGroup => openGroup(own);
  let waking = new AbortController();
  return {
    ...entryMethods(own),
    ...takeMethods(own),
    async register() {
      const isNew = !topic.groups.has(name);
      group();
      return isNew;
    },
    bootstrap: (read, signal) => bootstrap(group(), read, signal),
    needsBootstrap: async () => false,
    async read(count, blockMs) {
      waking = new AbortController();
      if (group().next >= topic.entries.length) await topic.waitForMore(blockMs, waking.signal);
      const batch = topic.entries.slice(group().next, group().next + count);
      group().next += batch.length;
      for (const { id } of batch) group().pending.set(id, { consumer, attempts: 1, touchedAt: Date.now() });
      return batch;
    },
    interrupt: () => waking.abort(),
    wake: () => waking.abort(),
    takeReconnected: () => false,
    removeIdleConsumers: async () => 0,
    close: async () => undefined,
  };
}

/** What becomes of one entry. */
function entryMethods(own: Own): Pick<GroupLog, 'ack' | 'claim' | 'release' | 'park' | 'delay' | 'touch'> {
  const { topic } = own;
  return {
    async ack(ids) {
      for (const id of ids) openGroup(own).pending.delete(id);
    },
    async claim(id, maxAttempts) {
      const pending = ownPending(own, id);
      const entry = topic.find(id);
      if (!pending || !entry) return { kind: 'gone' };
      if (pending.attempts >= maxAttempts) return { kind: 'exhausted', attempts: pending.attempts };
      pending.attempts += 1;
      pending.touchedAt = Date.now();
      return { kind: 'claimed', attempts: pending.attempts, entry };
    },
    async release(id, attempts) {
      const pending = ownPending(own, id);
      if (pending) pending.attempts = attempts;
    },
    async park(id, reason, attempts) {
      const entry = topic.find(id);
      const { pending, deadLetters, delayed } = openGroup(own);
      delayed.delete(id);
      if (!entry || !pending.delete(id)) return undefined;
      deadLetters.push({ reason, attempts, entry });
      return 0;
    },
    async delay(id, delayMs) {
      if (ownPending(own, id)) openGroup(own).delayed.set(id, Date.now() + delayMs);
    },
    async touch(ids) {
      for (const id of ids) {
        const pending = ownPending(own, id);
        if (pending) pending.touchedAt = Date.now();
      }
    },
  };
}

/** What a consumer may take: its own, another's, what is due. */
function takeMethods(own: Own): Pick<GroupLog, 'pending' | 'adopt' | 'takeDue' | 'reclaim'> {
  const { topic, consumer } = own;
  /** Ids of entries that are not put off, taken over where `take` says so. */
  const waiting = (take: 'all' | 'own' | 'idle', idleMs = 0): string[] => {
    const { pending, delayed } = openGroup(own);
    return [...pending].flatMap(([id, one]) => {
      const isWanted = take === 'all' || (take === 'own' ? one.consumer === consumer : Date.now() - one.touchedAt >= idleMs);
      return isWanted && !delayed.has(id) ? [id] : [];
    });
  };
  const takeOver = (ids: readonly string[]): readonly string[] => {
    const { pending } = openGroup(own);
    for (const id of ids) Object.assign(pending.get(id) ?? {}, { consumer, touchedAt: Date.now() });
    return ids.filter((id) => pending.has(id));
  };
  return {
    pending: async () => ({ items: waiting('own'), next: undefined }),
    async adopt(_from, _count, putOff) {
      if (putOff === 'also') openGroup(own).delayed.clear();
      return { items: takeOver(waiting('all')).flatMap((id) => topic.find(id) ?? []), next: undefined, deleted: 0 };
    },
    async takeDue(count) {
      const { delayed } = openGroup(own);
      const due = [...delayed].filter(([, at]) => at <= Date.now()).slice(0, count).map(([id]) => id);
      for (const id of due) delayed.delete(id);
      const next = Math.min(...delayed.values());
      return { ids: takeOver(due), deleted: 0, nextInMs: Number.isFinite(next) ? Math.max(0, next - Date.now()) : undefined, waiting: delayed.size };
    },
    reclaim: async (idleMs, count) => ({ ids: takeOver(waiting('idle', idleMs).slice(0, count)), deleted: 0 }),
  };
}

/** The one partition of a topic in memory. Its leases never run out: nobody in the process can stand still alone. */
export function createMemoryLeaseTable(topic: MemoryTopic, name: string, member: string): LeaseTable {
  const group = (): MemoryGroup => groupOf(topic, name);
  return {
    join: async () => [...group().members.add(member)].toSorted(),
    leave: async () => void group().members.delete(member),
    async acquire(partition) {
      if (group().lease) return undefined;
      group().leases += 1;
      group().lease = { holder: member, fencingToken: group().leases };
      return { partition, value: member, fencingToken: group().leases };
    },
    renew: async ({ fencingToken }) => group().lease?.fencingToken === fencingToken,
    async release({ fencingToken }) {
      if (group().lease?.fencingToken === fencingToken) group().lease = undefined;
    },
  };
}

/** The same guarantees as the Redis adapter's: one consumer at a time, again after a failure. */
async function bootstrap(group: MemoryGroup, read: (need: BootstrapNeed) => Promise<void>, signal: AbortSignal): Promise<void> {
  while (group.bootstrap === 'running' && !signal.aborted) await pause(5, signal);
  if (group.bootstrap !== 'needed') return;
  group.bootstrap = 'running';
  try {
    await read({ since: 0, now: 0 });
    group.bootstrap = 'done';
  } finally {
    if (group.bootstrap === 'running') group.bootstrap = 'needed';
  }
}
