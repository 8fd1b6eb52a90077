import { logEvent } from '@millrace/contracts';
import { brokenBodyOf, identityOf, toAppError } from '@millrace/http';
import type { AppError } from '@millrace/service';
import type { ErrorRequestHandler, Request } from 'express';
import { ERASED } from './door.ts';
import { senderOf } from './quarantine.ts';
import type { Quarantine, RefusedItem } from './quarantine.ts';

/** An erased user's event is valid, and nothing of it is kept; nor is what a key may not send: nobody else shall replay it. */
const VALID: ReadonlySet<string> = new Set([ERASED.code, 'forbidden']);

/** What a body was refused by; undefined: it was something else. */
function refusalOf(error: unknown): AppError | undefined {
  const expected = toAppError(error);
  return expected?.details[0]?.in === 'body' && !VALID.has(expected.code) ? expected : undefined;
}

function refusedItem(req: Request, { code, message, details: [first] }: AppError): RefusedItem {
  const broken = brokenBodyOf(req);
  const body: unknown = req.body;
  return { item: broken === undefined ? body : Buffer.from(broken), code, pointer: first?.pointer ?? '', reason: first?.detail ?? message };
}

/** Mounted behind the routes: keeps the body of a `POST /api/event` that was refused, and passes the error on. Nothing waits for it. */
export const keepRefusedBody = (quarantine: Quarantine): ErrorRequestHandler => (error: unknown, req, _res, next) => {
  const refusal = req.method === 'POST' && req.path === logEvent.path ? refusalOf(error) : undefined;
  const identity = identityOf(req);
  if (refusal && identity) quarantine.keep({ route: logEvent.path, ...senderOf(identity) }, 1, () => [refusedItem(req, refusal)]);
  next(error);
};
