import { allowedEventTypes, logEvent, logEvents } from '@millrace/contracts';
import type { LoggedEvent, LoggedEvents, NewEvent } from '@millrace/contracts';
import { JSON_LIMIT_BYTES, ok, route, traceparentOf } from '@millrace/http';
import { AppError } from '@millrace/service';
import { Router } from 'express';
import type { Door } from './door.ts';
import { limitType, refusalOf } from './event-types.ts';
import { readDecoded, readItem, splitItems } from './read-events.ts';

/** Items that are checked and written before others have their turn. */
const SLICE = 200;

type Result = LoggedEvents['results'][number];

interface Caller { readonly scopes: readonly string[]; readonly traceparent: string | undefined }

/** Uploads of servers that are read into memory at the same time. */
const UPLOADS = 4;

/** `POST /api/event`, `POST /api/events`. */
export function eventRoutes({ door }: { readonly door: Door }): Router {
  const router = Router();
  let uploads = 0;
  route(router, logEvent, async ({ body, req, identity }) => {
    const refusal = refusalOf(identity.scopes, body.event_type);
    if (refusal !== undefined) throw new AppError('forbidden', refusal, { details: [{ in: 'body', pointer: '/event_type', detail: 'is not for this key' }] });
    const [accepted] = await door.log([body], traceparentOf(req));
    if (!accepted) throw new Error('the door answered nothing');
    return ok({ success: true, message: `Event logged: ${body.event_type}`, ...accepted } satisfies LoggedEvent);
  });

  const logSlice = async (items: readonly unknown[], from: number, { traceparent, scopes }: Caller): Promise<readonly Result[]> => {
    const read = items.map((item) => limitType(scopes, readItem(item)));
    const events = read.flatMap((item): NewEvent[] => ('event' in item ? [item.event] : []));
    const accepted = (await door.log(events, traceparent)).values();
    return read.map((item, place): Result => {
      const index = from + place;
      if ('problem' in item) return { index, success: false, ...item.problem };
      const next = accepted.next();
      if (next.done === true) throw new Error('the door answered too little');
      return { index, success: true, ...next.value };
    });
  };
  route(router, logEvents, async ({ req, identity: { scopes } }) => {
    // Of pages there are many at the same time, each with little.
    const isPage = allowedEventTypes(scopes) !== undefined;
    const counts = isPage ? 0 : 1;
    if (!isPage && uploads >= UPLOADS) throw new AppError('unavailable', `${UPLOADS} lists are read already: try again in a moment`, { headers: { 'Retry-After': '1' } });
    uploads += counts;
    try {
      const items = splitItems(await readDecoded(req, isPage ? JSON_LIMIT_BYTES : undefined));
      const caller = { scopes, traceparent: traceparentOf(req) };
      const results: Result[] = [];
      for (let start = 0; start < items.length; start += SLICE) results.push(...(await logSlice(items.slice(start, start + SLICE), start, caller)));
      const failed = results.filter(({ success }) => !success).length;
      return ok({ accepted: results.length - failed, failed, results } satisfies LoggedEvents);
    } finally {
      uploads -= counts;
    }
  });
  return router;
}
