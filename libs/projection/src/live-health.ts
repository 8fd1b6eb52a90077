export interface LiveHealthDeps {
  /** The cheap look: opens it and reads a little. */
  readonly look: (name: string) => Promise<unknown>;
  /** The look that reads more; at most every `deepEveryMs`. */
  readonly lookDeeper: (name: string) => Promise<unknown>;
  /** Default 30,000. */
  readonly deepEveryMs?: number;
  readonly nowMs?: () => number;
}

/** Finds out whether the file of a live embedded store is gone or damaged, as opposed to locked for a moment. */
export interface LiveHealth {
  /** true: it cannot be used any more. Rejects with nothing. */
  readonly isLost: (name: string) => Promise<boolean>;
  /** What a read or a write of it failed with: SQLite's word that the file is damaged is final. */
  readonly failed: (name: string, error: unknown) => void;
}

/** Two in a row: one may be a moment without file handles. */
const LOST_AFTER = 2;
/** SQLITE_CORRUPT, SQLITE_NOTADB (https://sqlite.org/rescode.html) */
const DAMAGED = new Set([11, 26]);

function isDamage(error: unknown, depth = 0): boolean {
  if (typeof error !== 'object' || error === null || depth > 5) return false;
  if ('errcode' in error && DAMAGED.has(Number(error.errcode) % 256)) return true;
  return 'cause' in error && isDamage(error.cause, depth + 1);
}

export function createLiveHealth({ look, lookDeeper, deepEveryMs = 30_000, nowMs = () => performance.now() }: LiveHealthDeps): LiveHealth {
  let damaged: string | undefined;
  let failures = 0;
  let deepMs = -Infinity;
  const failed = (name: string, error: unknown): void => {
    if (isDamage(error)) damaged = name;
  };
  return {
    failed,
    isLost: async (name) => {
      if (damaged !== undefined && damaged !== name) damaged = undefined;
      try {
        await look(name);
        if (nowMs() - deepMs >= deepEveryMs) {
          await lookDeeper(name);
          deepMs = nowMs();
        }
        failures = 0;
      } catch (error) {
        failures += 1;
        failed(name, error);
      }
      return damaged === name || failures >= LOST_AFTER;
    },
  };
}
