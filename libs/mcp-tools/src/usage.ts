/** How often one caller may call one tool. */
export interface ToolLimits {
  readonly perMinute: number;
  /** In a day of UTC. */
  readonly perDay: number;
}

export type Taken = { readonly isAdmitted: true } | { readonly isAdmitted: false; readonly by: 'minute' | 'day'; readonly retryAfterSeconds: number };

/** What is counted over all instances. */
export interface Usage {
  /** Counts one call of a tool, if there is one left in this minute and on this day. A refused call counts nothing. Rejects where it cannot be counted. */
  take(caller: string, tool: string, limits: ToolLimits): Promise<Taken>;
  /** true for the first who uses this id up, false for everybody after. Rejects where that cannot be known: nobody has it then. */
  useUp(id: string, ttlSeconds: number): Promise<boolean>;
}

const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;

/** The windows of a time: numbers of its minute and day, and the seconds until they end. */
export function windowsOf(nowMs: number): Readonly<Record<'minute' | 'day', { readonly number: number; readonly endsInSeconds: number }>> {
  const of = (lengthMs: number) => ({ number: Math.floor(nowMs / lengthMs), endsInSeconds: Math.ceil((lengthMs - (nowMs % lengthMs)) / 1_000) });
  return { minute: of(MINUTE_MS), day: of(DAY_MS) };
}

/** Counted by this process alone, and forgotten with it: for one user at one machine. */
export function createMemoryUsage(now: () => number = Date.now): Usage {
  const counts = new Map<string, number>();
  const used = new Map<string, number>();
  let minute = 0;
  return {
    async take(caller, tool, limits) {
      const windows = windowsOf(now());
      // A process of one user: at most a few counts a minute, so all old ones are dropped at once.
      if (windows.minute.number !== minute) {
        minute = windows.minute.number;
        for (const key of counts.keys()) if (!key.startsWith(`day:${windows.day.number}:`)) counts.delete(key);
      }
      const keys = { minute: `minute:${windows.minute.number}:${caller}:${tool}`, day: `day:${windows.day.number}:${caller}:${tool}` };
      const by = (counts.get(keys.day) ?? 0) >= limits.perDay ? 'day' : (counts.get(keys.minute) ?? 0) >= limits.perMinute ? 'minute' : undefined;
      if (by) return { isAdmitted: false, by, retryAfterSeconds: windows[by].endsInSeconds };
      for (const key of Object.values(keys)) counts.set(key, (counts.get(key) ?? 0) + 1);
      return { isAdmitted: true };
    },
    async useUp(id, ttlSeconds) {
      for (const [old, until] of used) if (until <= now()) used.delete(old);
      if (used.has(id)) return false;
      used.set(id, now() + ttlSeconds * 1_000);
      return true;
    },
  };
}
