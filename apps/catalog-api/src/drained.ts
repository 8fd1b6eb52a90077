import { once } from 'node:events';
import type { Writable } from 'node:stream';

/** Resolves when there is room for more, or the reader has gone. Leaves no listener behind. */
export async function drained(stream: Writable): Promise<void> {
  const done = new AbortController();
  const { signal } = done;
  try {
    await Promise.race([once(stream, 'drain', { signal }), once(stream, 'close', { signal })]);
  } finally {
    done.abort();
  }
}
