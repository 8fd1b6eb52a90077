/**
 * One reading of the export serves every partition of a subscription whose group was there before the reading began, so that a topic of eight
 * partitions is not bootstrapped eight times.
 */
export interface SharedBootstrap {
  /** From now on an earlier reading does not do: a group is new, or was passed over. */
  needed(): void;
  read(): Promise<void>;
}

export function shareBootstrap(read: () => Promise<void>): SharedBootstrap {
  let neededAt = 0;
  let latest: { readonly startedAt: number; readonly done: Promise<void> } | undefined;
  return {
    needed: () => void (neededAt = performance.now()),
    async read() {
      if (!latest || latest.startedAt < neededAt) latest = { startedAt: performance.now(), done: read() };
      const mine = latest;
      try {
        await mine.done;
      } catch (error) {
        if (latest === mine) latest = undefined;
        throw error;
      }
    },
  };
}
