import { allowedEventTypes, logEvent, logEvents } from '@millrace/contracts';
import type { LoggedEvent, LoggedEvents, NewEvent } from '@millrace/contracts';
import { JSON_LIMIT_BYTES, directRoute, ok, route, traceparentOf } from '@millrace/http';
import type { DirectInput, DirectRoute, Reply } from '@millrace/http';
import { AppError } from '@millrace/service';
import type { Identity, IdentityVerifier } from '@millrace/service';
import { Router } from 'express';
import { ERASED } from './door.ts';
import type { Door } from './door.ts';
import { checkType, limitType } from './event-types.ts';
import { keepRefusedItems, splitOrKeep } from './quarantine-list.ts';
import { senderOf } from './quarantine.ts';
import type { Quarantine } from './quarantine.ts';
import { readDecoded, readItem } from './read-events.ts';
import { keepRefusedBody } from './refused-body.ts';

/** Items that are checked and written before others have their turn. */
const SLICE = 200;

type Result = LoggedEvents['results'][number];

interface Caller { readonly identity: Identity; readonly traceparent: string | undefined }

/** Uploads of servers that are read into memory at the same time. */
const UPLOADS = 4;

const logOne = (door: Door) => async ({ body, traceparent, identity }: DirectInput<typeof logEvent>): Promise<Reply> => {
  checkType(identity.scopes, body.event_type);
  const [accepted] = await door.log([body], traceparent);
  if (!accepted) throw new Error('the door answered nothing');
  if (accepted.isErased) throw new AppError(ERASED.code, ERASED.detail, { details: [{ in: 'body', pointer: ERASED.pointer, detail: 'names an erased user' }] });
  return ok({ success: true, message: `Event logged: ${body.event_type}`, ...accepted } satisfies LoggedEvent);
};

/** `POST /api/event` in front of express, for what is valid and plain; `eventRoutes` does the rest. */
export const directEvent = ({ door, verifier }: { readonly door: Door; readonly verifier: IdentityVerifier }): DirectRoute =>
  directRoute({ operation: logEvent, verifier, issuers: ['gateway'], handle: logOne(door) });

/** `POST /api/event`, `POST /api/events`. */
export function eventRoutes({ door, quarantine }: { readonly door: Door; readonly quarantine: Quarantine }): Router {
  const router = Router();
  let uploads = 0;
  const log = logOne(door);
  route(router, logEvent, ({ body, req, identity }) => log({ body, identity, traceparent: traceparentOf(req) }));

  const logSlice = async (items: readonly unknown[], from: number, { traceparent, identity }: Caller): Promise<readonly Result[]> => {
    const given = items.map(readItem);
    keepRefusedItems(quarantine, { items, read: given, from, sender: senderOf(identity) });
    // Not for the quarantine: what this key may not send would be logged by a replay.
    const read = given.map((item) => limitType(identity.scopes, item));
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
  route(router, logEvents, async ({ req, identity }) => {
    // Of pages there are many at the same time, each with little.
    const isPage = allowedEventTypes(identity.scopes) !== undefined;
    if (!isPage && uploads >= UPLOADS) throw new AppError('unavailable', `${UPLOADS} lists are read already: try again in a moment`, { headers: { 'Retry-After': '1' } });
    const counts = isPage ? 0 : 1;
    uploads += counts;
    try {
      const caller = { identity, traceparent: traceparentOf(req) };
      const items = splitOrKeep(quarantine, await readDecoded(req, isPage ? JSON_LIMIT_BYTES : undefined), senderOf(identity));
      const results: Result[] = [];
      for (let start = 0; start < items.length; start += SLICE) results.push(...(await logSlice(items.slice(start, start + SLICE), start, caller)));
      const failed = results.filter(({ success }) => !success).length;
      return ok({ accepted: results.length - failed, failed, results } satisfies LoggedEvents);
    } finally {
      uploads -= counts;
    }
  });
  router.use(keepRefusedBody(quarantine));
  return router;
}
