import { logEvent, logEvents } from '@millrace/contracts';
import type { LoggedEvent, LoggedEvents, NewEvent } from '@millrace/contracts';
import { directRoute, ok, route, traceparentOf } from '@millrace/http';
import type { DirectInput, DirectRoute, Reply } from '@millrace/http';
import { AppError } from '@millrace/service';
import type { IdentityVerifier } from '@millrace/service';
import { Router } from 'express';
import { ERASED } from './door.ts';
import type { Door } from './door.ts';
import { readDecoded, readItem, splitItems } from './read-events.ts';

/** Items that are checked and written before others have their turn. */
const SLICE = 200;

type Result = LoggedEvents['results'][number];

/** Uploads that are read into memory at the same time. */
const UPLOADS = 4;

const logOne = (door: Door) => async ({ body, traceparent }: DirectInput<typeof logEvent>): Promise<Reply> => {
  const [accepted] = await door.log([body], traceparent);
  if (!accepted) throw new Error('the door answered nothing');
  if (accepted.isErased) throw new AppError(ERASED.code, ERASED.detail, { details: [{ in: 'body', pointer: ERASED.pointer, detail: 'names an erased user' }] });
  return ok({ success: true, message: `Event logged: ${body.event_type}`, ...accepted } satisfies LoggedEvent);
};

/** `POST /api/event` in front of express, for what is valid and plain; `eventRoutes` does the rest. */
export const directEvent = ({ door, verifier }: { readonly door: Door; readonly verifier: IdentityVerifier }): DirectRoute =>
  directRoute({ operation: logEvent, verifier, issuers: ['gateway'], handle: logOne(door) });

/** `POST /api/event`, `POST /api/events`. */
export function eventRoutes({ door }: { readonly door: Door }): Router {
  const router = Router();
  let uploads = 0;
  const log = logOne(door);
  route(router, logEvent, ({ body, req }) => log({ body, traceparent: traceparentOf(req) }));

  const logSlice = async (items: readonly unknown[], from: number, traceparent: string | undefined): Promise<readonly Result[]> => {
    const read = items.map(readItem);
    const events = read.flatMap((item): NewEvent[] => ('event' in item ? [item.event] : []));
    const accepted = (await door.log(events, traceparent)).values();
    return read.map((item, place): Result => {
      const index = from + place;
      if ('problem' in item) return { index, success: false, ...item.problem };
      const next = accepted.next();
      if (next.done === true) throw new Error('the door answered too little');
      return next.value.isErased ? { index, success: false, ...ERASED } : { index, success: true, ...next.value };
    });
  };
  route(router, logEvents, async ({ req }) => {
    if (uploads >= UPLOADS) throw new AppError('unavailable', `${UPLOADS} lists are read already: try again in a moment`, { headers: { 'Retry-After': '1' } });
    uploads += 1;
    try {
      const items = splitItems(await readDecoded(req));
      const results: Result[] = [];
      for (let start = 0; start < items.length; start += SLICE) results.push(...(await logSlice(items.slice(start, start + SLICE), start, traceparentOf(req))));
      const failed = results.filter(({ success }) => !success).length;
      return ok({ accepted: results.length - failed, failed, results } satisfies LoggedEvents);
    } finally {
      uploads -= 1;
    }
  });
  return router;
}
