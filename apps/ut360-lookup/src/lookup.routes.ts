import { LOOKUP_LIMITS, lookupSubscribers } from '@millrace/contracts';
import { requestIdOf, route } from '@millrace/http';
import { parseIsdn } from '@millrace/subscribers';
import { Router } from 'express';
import type { Response } from 'express';
import { entryText, freshnessText, shownIsdn, sourceOf } from './answers.ts';
import type { Resolved } from './read-subscribers.ts';
import { sendPieces } from './send-pieces.ts';
import { sendText } from './subscriber.routes.ts';
import type { SubscriberRoutesDeps } from './subscriber.routes.ts';

const INVALID = 'must be a Vietnamese mobile number or a token of 8 to 128 characters without spaces';
const PIECE = 500;
/** How long the reader of a stream may take nothing. */
const STALL_MS = 30_000;

interface Question {
  /** Those that can be looked up, and their places in the request. */
  readonly isdns: readonly string[];
  readonly places: readonly number[];
  readonly invalid: readonly number[];
}

function questionOf(texts: readonly string[]): Question {
  const isdns: string[] = [];
  const places: number[] = [];
  const invalid: number[] = [];
  for (const [at, text] of texts.entries()) {
    const isdn = parseIsdn(text);
    if (isdn === undefined) invalid.push(at);
    else {
      isdns.push(isdn);
      places.push(at);
    }
  }
  return { isdns, places, invalid };
}

interface Shown {
  readonly question: Question;
  readonly resolved: Resolved;
  readonly months: number | undefined;
  readonly isUnmasked: boolean;
}

function* entries({ question, resolved: { found, pointer }, months, isUnmasked }: Shown): Generator<string> {
  const arpu = months === undefined ? undefined : { count: months, lastMonth: pointer.last_month };
  for (const [at, one] of found.entries()) if (one !== undefined) yield `{"index":${question.places[at] ?? 0},${entryText(shownIsdn(question.isdns[at] ?? '', isUnmasked), one, arpu)}`;
}

/** What belongs to no single subscriber. */
function restText({ question, resolved: { found, pointer }, isUnmasked }: Shown): string {
  const missing = found.flatMap((one, at) => (one === undefined ? [`{"index":${question.places[at] ?? 0},"isdn":${shownIsdn(question.isdns[at] ?? '', isUnmasked)}}`] : []));
  const invalid = question.invalid.map((index) => `{"index":${index},"reason":"${INVALID}"}`);
  return `"missing":[${missing.join(',')}],"invalid":[${invalid.join(',')}],"freshness":${freshnessText(pointer, sourceOf(found))}`;
}

/** Some hundred lines at once; the last one is what belongs to no single subscriber. */
function* lineTexts(shown: Shown): Generator<string> {
  let lines: string[] = [];
  for (const entry of entries(shown)) {
    lines.push(`${entry}\n`);
    if (lines.length < PIECE) continue;
    yield lines.join('');
    lines = [];
  }
  yield `${lines.join('')}{${restText(shown)}}\n`;
}

/** Who reads slowly holds what was found, and only so long. */
async function stream(res: Response, shown: Shown, stallMs: number): Promise<void> {
  res.setHeader('Content-Type', 'application/x-ndjson; charset=utf-8');
  res.setHeader('Cache-Control', 'no-store');
  // The missing last chunk tells whoever reads on that it broke off.
  await sendPieces(res, lineTexts(shown), { stallMs }).catch(() => res.destroy());
}

/** `POST /api/ut360/lookup`. */
export function lookupRoutes({ reader, piiReads, stallMs = STALL_MS }: SubscriberRoutesDeps & { readonly stallMs?: number }): Router {
  const router = Router();
  route(router, lookupSubscribers, async ({ body, identity, req, res }) => {
    const question = questionOf(body.isdns);
    if (body.unmask) await piiReads.allow(identity, { operation: 'lookupSubscribers', isdns: body.isdns.length, requestId: requestIdOf(req) });
    const resolved = await reader.find(question.isdns, { withMonths: body.months !== undefined });
    const shown = { question, resolved, months: body.months, isUnmasked: body.unmask };
    if (body.isdns.length > LOOKUP_LIMITS.json) {
      await stream(res, shown, stallMs);
      return undefined;
    }
    return sendText(res, `{"data":[${[...entries(shown)].join(',')}],${restText(shown)}}`);
  });
  return router;
}
