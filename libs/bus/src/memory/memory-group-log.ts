import { pause } from '../backoff.ts';
import type { GroupLog } from '../group-log.ts';
import type { MemoryGroup, MemoryTopic } from './memory-topic.ts';

/** One consumer's view of a group in memory. */
export function createMemoryGroupLog(topic: MemoryTopic, name: string, consumer: string): GroupLog {
  let waking = new AbortController();
  const group = (): MemoryGroup => {
    let found = topic.groups.get(name);
    if (!found) topic.groups.set(name, (found = { next: 0, pending: new Map(), deadLetters: [], bootstrap: 'needed' }));
    return found;
  };
  const own = (id: string) => {
    const pending = group().pending.get(id);
    return pending?.consumer === consumer ? pending : undefined;
  };
  return {
    register: async () => void group(),
    bootstrap: (read, signal) => bootstrap(group(), read, signal),
    async read(count, blockMs) {
      waking = new AbortController();
      if (group().next >= topic.entries.length) await topic.waitForMore(blockMs, waking.signal);
      const batch = topic.entries.slice(group().next, group().next + count);
      group().next += batch.length;
      for (const { id } of batch) group().pending.set(id, { consumer, attempts: 1, touchedAt: Date.now() });
      return batch;
    },
    interrupt: () => waking.abort(),
    takeReconnected: () => false,
    ack: async (ids) => ids.forEach((id) => group().pending.delete(id)),
    pending: async (count) => [...group().pending].filter(([, pending]) => pending.consumer === consumer).slice(0, count).map(([id]) => id),
    async claim(id, maxAttempts) {
      const pending = own(id);
      const entry = topic.find(id);
      if (!pending || !entry) return { kind: 'gone' };
      if (pending.attempts >= maxAttempts) return { kind: 'exhausted', attempts: pending.attempts };
      pending.attempts += 1;
      pending.touchedAt = Date.now();
      return { kind: 'claimed', attempts: pending.attempts, entry };
    },
    async release(id, attempts) {
      const pending = own(id);
      if (pending) pending.attempts = attempts;
    },
    async park(id, reason, attempts) {
      const entry = topic.find(id);
      if (entry && group().pending.delete(id)) group().deadLetters.push({ reason, attempts, entry });
    },
    async touch(ids) {
      for (const id of ids) {
        const pending = own(id);
        if (pending) pending.touchedAt = Date.now();
      }
    },
    async reclaim(idleMs, count) {
      const idle = [...group().pending].filter(([, pending]) => Date.now() - pending.touchedAt >= idleMs).slice(0, count);
      for (const [, pending] of idle) Object.assign(pending, { consumer, touchedAt: Date.now() });
      return { ids: idle.map(([id]) => id), deleted: 0 };
    },
    close: async () => undefined,
  };
}

/** The same guarantees as the Redis adapter's: one consumer at a time, again after a failure. */
async function bootstrap(group: MemoryGroup, read: () => Promise<void>, signal: AbortSignal): Promise<void> {
  while (group.bootstrap === 'running' && !signal.aborted) await pause(5, signal);
  if (group.bootstrap !== 'needed') return;
  group.bootstrap = 'running';
  try {
    await read();
    group.bootstrap = 'done';
  } finally {
    if (group.bootstrap === 'running') group.bootstrap = 'needed';
  }
}
