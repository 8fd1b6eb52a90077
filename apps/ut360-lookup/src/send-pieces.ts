import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Response } from 'express';

export interface SendOptions {
  /** How long the reader may take nothing. */
  readonly stallMs: number;
}

const MAX_MS = 600_000;

/**
 * Writes texts at the reader's pace: one in memory, the next when it was taken. Rejects where the reader goes, takes nothing for `stallMs`, is not done after
 * ten minutes, or the texts fail: the answer then breaks off without its last chunk.
 */
export async function sendPieces(res: Response, pieces: AsyncIterable<string> | Iterable<string>, { stallMs }: SendOptions): Promise<void> {
  const stalled = new AbortController();
  const stall = setTimeout(() => stalled.abort(new Error(`the reader took nothing for ${stallMs} ms`)), stallMs);
  async function* watched(): AsyncGenerator<string> {
    for await (const piece of pieces) {
      stall.refresh();
      yield piece;
    }
  }
  try {
    await pipeline(Readable.from(watched(), { objectMode: true, highWaterMark: 1 }), res, { signal: AbortSignal.any([stalled.signal, AbortSignal.timeout(MAX_MS)]) });
  } finally {
    clearTimeout(stall);
  }
}
