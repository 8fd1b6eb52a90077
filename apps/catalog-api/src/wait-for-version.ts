import { setTimeout as delay } from 'node:timers/promises';
import type { SearchReader } from '@millrace/search';

export interface WaitOptions {
  readonly maxMs?: number;
}

const FIRST_PAUSE_MS = 5;
const LONGEST_PAUSE_MS = 50;

/**
 * Waits until searches see `<sku>:<version>`, or a higher version of it (a tombstone too). false: not within `maxMs` (2 s), or the index cannot
 * be asked. A sku may hold colons itself: the version is behind the last one.
 */
export async function waitForVersion(search: Pick<SearchReader, 'versionOf'>, wanted: string, { maxMs = 2_000 }: WaitOptions = {}): Promise<boolean> {
  const at = wanted.lastIndexOf(':');
  const [sku, version] = [wanted.slice(0, at), Number(wanted.slice(at + 1))];
  const until = performance.now() + maxMs;
  for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)) {
    const seen = await search.versionOf(sku).catch(() => undefined);
    if ((seen?.version ?? 0) >= version) return true;
    if (performance.now() + pauseMs > until) return false;
    await delay(pauseMs);
  }
}
