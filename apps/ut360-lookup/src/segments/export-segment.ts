import type { exportSegment as operation } from '@millrace/contracts';
import { requestIdOf } from '@millrace/http';
import type { RouteInput } from '@millrace/http';
import { AppError } from '@millrace/service';
import { sendPieces } from '../send-pieces.ts';
import type { SegmentRows } from './segment-reader.ts';
import { getSegment, storeCount } from './segment.repository.ts';
import type { SegmentRoutesDeps } from './segment.routes.ts';
import { createRowWriter } from './segment-text.ts';
import type { RowWriter } from './segment-text.ts';

/** At once, by one instance: each holds a generation in memory, or a connection. */
const MAX_EXPORTS = 8;

/** Throws where rows are missing. */
async function* textOf(rows: SegmentRows, writer: RowWriter): AsyncGenerator<string> {
  let sent = 0;
  let lead = writer.head;
  for await (const piece of rows.pieces) {
    sent += piece.length;
    yield lead + piece.map(writer.row).join('');
    lead = '';
  }
  if (sent !== rows.rows) throw new Error(`${rows.rows} rows were counted, ${sent} came`);
  const end = lead + writer.end({ rows: sent, generation: rows.pointer.recommendations });
  if (end !== '') yield end;
}

/** Writes a segment to the answer: counted against the quota before the first byte, at the reader's pace, freed when either side ends. */
export function exportSegment({ pool, reader, piiReads, logger, stallMs = 30_000 }: SegmentRoutesDeps): (input: RouteInput<typeof operation>) => Promise<void> {
  let running = 0;
  const send = async ({ params, query, identity, req, res }: RouteInput<typeof operation>): Promise<void> => {
    const segment = await getSegment(pool, params.id);
    const columns = query.columns ?? segment.columns;
    const limit = Math.min(query.limit ?? Number.MAX_SAFE_INTEGER, segment.limit ?? Number.MAX_SAFE_INTEGER);
    const rows = await reader.open({ query: segment.query, order: segment.order_by, columns, limit });
    try {
      const { recommendations: generation } = rows.pointer;
      const writer = createRowWriter(query.format, columns);
      if (req.method !== 'HEAD') await piiReads.allow(identity, { operation: 'exportSegment', isdns: rows.rows, requestId: requestIdOf(req) });
      res.set({ 'Content-Type': writer.contentType, 'Cache-Control': 'no-store', 'Content-Disposition': `attachment; filename="segment-${segment.id}-generation-${generation}.${query.format}"`, 'X-Row-Count': String(rows.rows), 'X-Accel-Buffering': 'no' });
      if (req.method === 'HEAD') {
        res.end();
        return;
      }
      await sendPieces(res, textOf(rows, writer), { stallMs }).catch((err: unknown) => {
        logger.warn({ err, segment: segment.id, rows: rows.rows, requestId: requestIdOf(req) }, 'an export broke off');
        // The head may be out: the missing last chunk tells it.
        res.destroy();
      });
      // Numbers of a generation change only where it is counted for the first time, or subscribers were removed from it.
      if (segment.last_count?.generation === generation && segment.last_count.count === rows.count) return;
      await storeCount(pool, segment, { count: rows.count, generation, counted_at: new Date().toISOString() }).catch((err: unknown) => logger.warn({ err, segment: segment.id }, 'the number of an export was not kept'));
    } finally {
      await rows.close();
    }
  };
  return async (input) => {
    if (!input.identity.scopes.includes('pii:read')) throw new AppError('forbidden', 'an export needs the scope pii:read, too');
    if (running >= MAX_EXPORTS) throw new AppError('unavailable', `${MAX_EXPORTS} exports are running already: try again later`, { headers: { 'Retry-After': '10' } });
    running += 1;
    try {
      await send(input);
    } finally {
      running -= 1;
    }
  };
}
