import { setTimeout as delay } from 'node:timers/promises';
import { VectorsUnavailableError } from '@millrace/vectors';

const firstPauseMs = 20;
const longestPauseMs = 500;

/** Pinecone's reads follow its writes by seconds: asks until what was written can be read. @throws VectorsUnavailableError where it takes too long; writing it again is harmless */
export async function untilSeen(isSeen: () => Promise<boolean>, { what, freshMs }: { readonly what: string; readonly freshMs: number }): Promise<void> {
  const untilMs = performance.now() + freshMs;
  for (let pauseMs = firstPauseMs; !(await isSeen()); pauseMs = Math.min(longestPauseMs, pauseMs * 2)) {
    if (performance.now() > untilMs) throw new VectorsUnavailableError(`Pinecone did not show ${what} within ${freshMs} ms after it was written`);
    await delay(pauseMs);
  }
}
