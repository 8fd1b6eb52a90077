export interface BacklogCheck {
  /** A batch was handled. */
  readonly progressed: () => void;
  /** Readiness (I9): rejects where there is a backlog and nothing was handled for 30 s. */
  readonly check: () => Promise<void>;
}

const STUCK_MS = 30_000;

export function createBacklogCheck(lag: () => Promise<{ readonly messages: number }>, nowMs: () => number = () => performance.now()): BacklogCheck {
  let lastMs = nowMs();
  return {
    progressed: () => void (lastMs = nowMs()),
    check: async () => {
      const { messages } = await lag();
      if (messages === 0) lastMs = nowMs();
      else if (nowMs() - lastMs > STUCK_MS) throw new Error(`${messages} entries wait and nothing was handled for ${Math.round((nowMs() - lastMs) / 1_000)} s`);
    },
  };
}
