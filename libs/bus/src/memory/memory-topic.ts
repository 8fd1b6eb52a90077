import type { RawEntry } from '../codec.ts';

interface Pending {
  consumer: string;
  attempts: number;
  touchedAt: number;
}

export interface MemoryGroup {
  /** Index of the next entry to deliver. */
  next: number;
  readonly pending: Map<string, Pending>;
  readonly deadLetters: { readonly reason: string; readonly attempts: number; readonly entry: RawEntry }[];
  /** Entries that are put off: id -> when they are due. */
  readonly delayed: Map<string, number>;
  bootstrap: 'needed' | 'running' | 'done';
  /** Who is the group's only consumer, where it has an order. */
  lease: { readonly holder: string; readonly fencingToken: number } | undefined;
  leases: number;
  readonly members: Set<string>;
}

/** A stream in memory: entries in order, groups, and who waits for the next entry. */
export interface MemoryTopic {
  readonly entries: RawEntry[];
  readonly groups: Map<string, MemoryGroup>;
  append(fields: readonly string[]): void;
  /** Was the id not seen in the last so many milliseconds? Sees it. */
  isFresh(id: string, dedupMs: number): boolean;
  find(id: string): RawEntry | undefined;
  /** Resolves at the next append, after `ms`, or when the signal aborts. */
  waitForMore(ms: number, signal: AbortSignal): Promise<void>;
}

export function createMemoryTopic(): MemoryTopic {
  const entries: RawEntry[] = [];
  const byId = new Map<string, RawEntry>();
  const waiting = new Set<() => void>();
  const seenAt = new Map<string, number>();
  return {
    entries,
    groups: new Map(),
    append(fields) {
      const entry = { id: `${Date.now()}-${entries.length}`, fields };
      entries.push(entry);
      byId.set(entry.id, entry);
      for (const wake of waiting) wake();
    },
    isFresh(id, dedupMs) {
      const isAgain = Date.now() - (seenAt.get(id) ?? -Infinity) < dedupMs;
      if (!isAgain) seenAt.set(id, Date.now());
      return !isAgain;
    },
    find: (id) => byId.get(id),
    waitForMore: (ms, signal) =>
      new Promise((resolve) => {
        const done = (): void => {
          clearTimeout(timer);
          waiting.delete(done);
          signal.removeEventListener('abort', done);
          resolve();
        };
        const timer = setTimeout(done, ms);
        waiting.add(done);
        signal.addEventListener('abort', done);
        if (signal.aborted) done();
      }),
  };
}
