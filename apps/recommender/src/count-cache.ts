/** What was read of the counts a moment ago, parsed. */
export interface CountCache<T> {
  /** Values by name, of these names and others; what is not known, or too old, is asked for, once for all of them. `load` answers for each name that it is given, in order. */
  get(names: Iterable<string>, load: (missing: readonly string[]) => Promise<readonly T[]>): Promise<ReadonlyMap<string, T>>;
}

/** Bounded by `max` names; each is at most `ttlMs` old. All of them go together: a look at each one's age, and a list of the last used ones, cost more than they save here. */
export function createCountCache<T extends object | number>({ max, ttlMs, now = Date.now }: { readonly max: number; readonly ttlMs: number; readonly now?: () => number }): CountCache<T> {
  let known = new Map<string, T>();
  let untilMs = 0;
  return {
    get: async (names, load) => {
      if (now() >= untilMs || known.size >= max) [known, untilMs] = [new Map(), now() + ttlMs];
      const own = known;
      const missing: string[] = [];
      for (const name of names) if (!own.has(name)) missing.push(name);
      const loaded = missing.length === 0 ? [] : await load(missing);
      if (loaded.length !== missing.length) throw new RangeError('a value for each name that was asked for');
      loaded.forEach((value, at) => own.set(missing[at] ?? '', value));
      return own;
    },
  };
}
