import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { createGzip } from 'node:zlib';
import type { BusPositions, StreamEnds } from '@millrace/bus';
import { interactionExportQuery } from '@millrace/contracts';
import type { InteractionExportLine } from '@millrace/contracts';
import { decodeCursor, encodeCursor, parsePart } from '@millrace/http';
import { AppError } from '@millrace/service';
import type { Logger } from '@millrace/service';
import { Router } from 'express';
import type { Pool } from 'pg';
import { z } from 'zod';
import { withSnapshot } from './interaction-export.repository.ts';
import type { ExportCursor, ExportedRow, Snapshot } from './interaction-export.repository.ts';

export interface InteractionExportDeps {
  /** Of its own: an export holds one of its connections open, as long as its reader takes. */
  readonly pool: Pool;
  readonly positions: Pick<BusPositions, 'hasPassed'>;
  /** The group that writes the log. */
  readonly group: string;
  /** Longest wait for it. Default 10 s. */
  readonly waitMs?: number;
  readonly logger: Logger;
}

const exportCursor = z.object({ u: z.string(), t: z.iso.datetime(), e: z.string() });
const POLL_MS = 20;

/** An exporter that nobody waits for holds a snapshot for nothing. */
async function waitForWriter({ positions, group, waitMs = 10_000 }: InteractionExportDeps, until: StreamEnds, isGone: () => boolean): Promise<void> {
  const givenUpAt = performance.now() + waitMs;
  while (!(await positions.hasPassed(group, until))) {
    if (performance.now() > givenUpAt || isGone()) throw new AppError('unavailable', 'the log is behind the stream: try again when the writer has caught up', { headers: { 'Retry-After': '10' } });
    await delay(POLL_MS);
  }
}

const toLine = (line: InteractionExportLine): string => `${JSON.stringify(line)}\n`;
const rowLine = ({ rating, ...row }: ExportedRow, isDeferred: boolean): string => toLine({ type: 'interaction', ...row, ...(rating !== null && { rating }), ...(isDeferred && { deferred: true }) });

async function* linesOf({ deferred, pages }: Snapshot, after: ExportCursor | undefined, limit: number): AsyncGenerator<string> {
  let rows = 0;
  for await (const page of pages(after, limit)) {
    rows += page.length;
    const last = page.at(-1);
    const cursor = last === undefined ? '' : toLine({ type: 'page', after: encodeCursor({ u: last.user_id, t: last.ts, e: last.event_id }) });
    yield page.map((row) => rowLine(row, deferred.has(row.event_id))).join('') + cursor;
  }
  yield toLine({ type: 'end', rows, complete: rows < limit });
}

/**
 * `GET /internal/interactions/export?until=&after=&limit=`: the log as NDJSON (gzip where it is accepted), in one snapshot, which is taken before the headers are sent.
 * Bounded memory: one page at a time, at the reader's pace. `after` goes on with an answer that broke off, in a newer snapshot: complete for what was there in the older one,
 * but for users who were merged in between.
 */
export function interactionExportRoutes(deps: InteractionExportDeps): Router {
  const router = Router();
  router.get('/interactions/export', async (req, res) => {
    const { after, until = {}, limit = Infinity } = parsePart(interactionExportQuery, req.query, 'query');
    const from = after === undefined ? undefined : decodeCursor(exportCursor, after);
    await waitForWriter(deps, until, () => res.destroyed);
    await withSnapshot(deps.pool, async (snapshot) => {
      const isPacked = req.acceptsEncodings('gzip') === 'gzip';
      res.type('application/x-ndjson').set({ 'Cache-Control': 'no-store', ...(isPacked && { 'Content-Encoding': 'gzip' }) }).flushHeaders();
      const lines = Readable.from(linesOf(snapshot, from && { userId: from.u, ts: from.t, eventId: from.e }, limit), { objectMode: true, highWaterMark: 1 });
      try {
        await (isPacked ? pipeline(lines, createGzip({ level: 1 }), res) : pipeline(lines, res));
      } catch (error) {
        // The headers are out: the missing end says it.
        deps.logger.warn({ err: error }, 'an export of interactions broke off');
        res.destroy();
      }
    });
  });
  return router;
}
