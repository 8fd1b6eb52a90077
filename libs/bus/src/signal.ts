/** Wakes a loop: one waits, anybody notifies. Remembers that it was notified until somebody waits, so that what comes during a step is not lost. */
export interface Signal {
  notify(): void;
  /** Resolves at once where it was notified since the last wait, else at the next notification or after `ms`. */
  wait(ms: number): Promise<void>;
}

/** For a loop with steps between its waits; one that only ends early needs no more than `pause`. */
export function createSignal(): Signal {
  let isNotified = false;
  let wake: (() => void) | undefined;
  return {
    notify() {
      isNotified = true;
      wake?.();
    },
    async wait(ms) {
      if (!isNotified) {
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, ms);
          wake = () => {
            clearTimeout(timer);
            resolve();
          };
        });
        wake = undefined;
      }
      isNotified = false;
    },
  };
}
