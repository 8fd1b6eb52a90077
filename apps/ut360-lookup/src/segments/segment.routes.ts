import * as contracts from '@millrace/contracts';
import type { Segment } from '@millrace/contracts';
import { decodeCursor, encodeCursor, formatEtag, ok, parseIfMatch, route } from '@millrace/http';
import type { Reply } from '@millrace/http';
import type { Logger } from '@millrace/service';
import type { Pointer } from '@millrace/subscribers';
import { Router } from 'express';
import type { Request } from 'express';
import type { Pool } from 'pg';
import { z } from 'zod';
import type { PiiReads } from '../pii-reads.ts';
import { exportSegment } from './export-segment.ts';
import type { SegmentReader } from './segment-reader.ts';
import * as segments from './segment.repository.ts';

export interface SegmentRoutesDeps {
  readonly pool: Pool;
  readonly reader: SegmentReader;
  readonly piiReads: PiiReads;
  readonly logger: Logger;
  /** How long the reader of an export may take nothing. Default 30 s. */
  readonly stallMs?: number;
}

const listCursor = z.strictObject({ i: z.int32().nonnegative() });
const acceptedBy = (req: Request): segments.AcceptedVersions => (req.get('if-match') === undefined ? '*' : parseIfMatch(req.get('if-match')));
const etagOf = ({ version }: Segment): string => formatEtag({ version, content_version: version });
const found = (segment: Segment): Reply => ok(segment, { ETag: etagOf(segment), 'Cache-Control': 'no-store' });

/** Counts a segment in the live generation and keeps the number. Where that cannot be done now the segment stays as it is. */
async function counted({ pool, reader, logger }: SegmentRoutesDeps, segment: Segment): Promise<Segment> {
  try {
    const { count, freshness: { recommendation: { generation } } } = await reader.count(segment.query);
    const lastCount = { count, generation, counted_at: new Date().toISOString() };
    await segments.storeCount(pool, segment, lastCount);
    return { ...segment, last_count: lastCount };
  } catch (err) {
    logger.warn({ err, segment: segment.id }, 'a segment could not be counted');
    return segment;
  }
}

/** `/api/ut360/segments`: previews, saved segments and their exports. */
export function segmentRoutes(deps: SegmentRoutesDeps & { readonly askPointer: () => Promise<Pointer> }): Router {
  const { pool, reader, askPointer } = deps;
  /** Versions of segment and pointer that a number was counted for here, by segment: within a generation it changes when somebody is erased. */
  const counts = new Map<number, string>();
  const router = Router();
  const exportRows = exportSegment(deps);
  route(router, contracts.previewSegment, async ({ body }) => ok(await reader.count(body.query), { 'Cache-Control': 'no-store' }));
  route(router, contracts.listSegments, async ({ query }) => {
    const after = query.cursor === undefined ? 0 : decodeCursor(listCursor, query.cursor).i;
    const rows = await segments.listSegments(pool, { after, limit: query.limit + 1 });
    const data = rows.slice(0, query.limit);
    const last = rows.length > query.limit ? data.at(-1) : undefined;
    return ok({ data, page: { next: last ? encodeCursor({ i: last.id }) : null, limit: query.limit } });
  });
  route(router, contracts.createSegment, async ({ body, identity }) => {
    const segment = await counted(deps, await segments.insertSegment(pool, body, identity.subject));
    return { status: 201, body: segment, headers: { ETag: etagOf(segment), Location: `/api/ut360/segments/${segment.id}` } };
  });
  route(router, contracts.getSegment, async ({ params }) => {
    const segment = await segments.getSegment(pool, params.id);
    const { version, recommendations } = await askPointer();
    const key = `${segment.version}:${version}`;
    if (segment.last_count?.generation === recommendations && counts.get(params.id) === key) return found(segment);
    const fresh = await counted(deps, segment);
    if (fresh !== segment) counts.set(params.id, key);
    return found(fresh);
  });
  route(router, contracts.replaceSegment, async ({ params, body, req }) => found(await counted(deps, await segments.replaceSegment(pool, params.id, body, acceptedBy(req)))));
  route(router, contracts.deleteSegment, async ({ params, req }) => {
    await segments.deleteSegment(pool, params.id, acceptedBy(req));
    counts.delete(params.id);
    return { status: 204 };
  });
  route(router, contracts.exportSegment, async (input) => {
    await exportRows(input);
    return undefined;
  });
  return router;
}
