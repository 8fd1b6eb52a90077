export interface Started {
  /** Resolves once the group or the cursor exists, or the first try to make it has failed; rejects where the configuration is wrong. */
  readonly registered: Promise<void>;
  close(): Promise<void>;
}

/** What a subscription reads, and may be waiting for. */
export interface Interruptible {
  /** Ends a waiting read. */
  interrupt(): void;
  close(): Promise<void>;
}

/** Runs until it is closed. `run` says when its first try is over, and resolves soon after `stop` has aborted and its read was interrupted. */
export function startReading(source: Interruptible, run: (stop: AbortSignal, onFirstTry: () => void) => Promise<void>): Started {
  const stopping = new AbortController();
  const firstTry = Promise.withResolvers<undefined>();
  const running = run(stopping.signal, () => firstTry.resolve(undefined));
  return {
    registered: firstTry.promise,
    async close() {
      stopping.abort();
      source.interrupt();
      // Once is not enough: it may fall between the look at the flag and the start of the wait.
      const nudge = setInterval(() => source.interrupt(), 25);
      await running.finally(() => clearInterval(nudge));
      await source.close();
    },
  };
}
