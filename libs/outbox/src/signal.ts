/** Remembers that it was notified until somebody waits. */
export interface Signal {
  notify(): void;
  /** Resolves at once where it was notified since the last wait, else at the next notification or after `ms`. */
  wait(ms: number): Promise<void>;
}

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
