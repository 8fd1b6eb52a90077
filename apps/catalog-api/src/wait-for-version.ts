import { setTimeout as delay } from 'node:timers/promises';
import type { SearchReader } from '@millrace/search';

export interface WaitOptions {
  readonly maxMs?: number;
  /** Searches that wait at once; more of them are answered without waiting. */
  readonly maxWaiting?: number;
}

/** Each holds one of the 128 connections of the gateway and asks the index up to twenty times a second: far more than that would keep other searches waiting. */
const MAX_WAITING = 64;

const FIRST_PAUSE_MS = 5;
const LONGEST_PAUSE_MS = 50;

/**
 * Waits until searches see `<sku>:<version>`, or a higher version of it (a tombstone too). false: not within `maxMs` (2 s), the index cannot
 * be asked, or too many wait already. A sku may hold colons itself: the version is behind the last one.
 */
export function createWaitForVersion(search: Pick<SearchReader, 'versionOf'>, { maxMs = 2_000, maxWaiting = MAX_WAITING }: WaitOptions = {}): (wanted: string) => Promise<boolean> {
  let waiting = 0;
  const wait = async (isSeen: () => Promise<boolean>): Promise<boolean> => {
    const until = performance.now() + maxMs;
    for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)) {
      if (performance.now() + pauseMs > until) return false;
      await delay(pauseMs);
      if (await isSeen()) return true;
    }
  };
  return async (wanted) => {
    const at = wanted.lastIndexOf(':');
    const [sku, version] = [wanted.slice(0, at), Number(wanted.slice(at + 1))];
    const isSeen = async (): Promise<boolean> => ((await search.versionOf(sku).catch(() => undefined))?.version ?? 0) >= version;
    if (await isSeen()) return true;
    if (waiting >= maxWaiting) return false;
    waiting += 1;
    try {
      return await wait(isSeen);
    } finally {
      waiting -= 1;
    }
  };
}
