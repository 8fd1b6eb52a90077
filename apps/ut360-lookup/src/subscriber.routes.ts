import { getSubscriber, getSubscriberArpu, getSubscriberProfile, getSubscriberRecommendation } from '@millrace/contracts';
import { requestIdOf, route } from '@millrace/http';
import { AppError, notFound } from '@millrace/service';
import type { Identity } from '@millrace/service';
import { parseIsdn } from '@millrace/subscribers';
import type { Pointer } from '@millrace/subscribers';
import { Router } from 'express';
import type { Request, Response } from 'express';
import { arpuText, freshnessText, partsOf, shownIsdn } from './answers.ts';
import type { PiiReads } from './pii-reads.ts';
import type { FoundSubscriber, SubscriberReader } from './read-subscribers.ts';

export interface SubscriberRoutesDeps {
  readonly reader: SubscriberReader;
  readonly piiReads: PiiReads;
}

/** The text is JSON already. Personal data is in no cache. */
export function sendText(res: Response, text: string): undefined {
  // Node sends a short text together with the head, in one write.
  const body = text.length > 16_384 ? Buffer.from(text) : text;
  res.setHeader('Content-Type', 'application/json; charset=utf-8');
  res.setHeader('Cache-Control', 'no-store');
  res.setHeader('Content-Length', Buffer.byteLength(body));
  res.end(body);
  return undefined;
}

function requireIsdn(text: string): string {
  const isdn = parseIsdn(text);
  if (isdn === undefined) throw new AppError('invalid_request', 'the ISDN is neither a Vietnamese mobile number nor a token of 8 to 128 characters without spaces', { details: [{ in: 'path', pointer: '/isdn', detail: 'must be a Vietnamese mobile number (0912345678, +84912345678) or a token of 8 to 128 characters without spaces' }] });
  return isdn;
}

interface One extends FoundSubscriber {
  readonly isdn: string;
  readonly pointer: Pointer;
}

/** `GET /api/ut360/subscribers|recommendations|profiles|arpu/{isdn}`. */
export function subscriberRoutes({ reader, piiReads }: SubscriberRoutesDeps): Router {
  const router = Router();
  const find = async ({ params: { isdn: text }, query: { unmask }, identity, req }: { params: { isdn: string }; query: { unmask: boolean }; identity: Identity; req: Request }, operation: string, withMonths: boolean): Promise<One> => {
    const isdn = requireIsdn(text);
    if (unmask) await piiReads.allow(identity, { operation, isdns: 1, requestId: requestIdOf(req) });
    const { pointer, found: [found] } = await reader.find([isdn], { withMonths });
    if (found === undefined) throw notFound('this subscriber');
    return { ...found, pointer, isdn: shownIsdn(isdn, unmask) };
  };
  route(router, getSubscriber, async (input) => {
    const { isdn, body, months, pointer, source } = await find(input, 'getSubscriber', true);
    return sendText(input.res, `{"isdn":${isdn},${body.slice(0, -1)},"arpu":${arpuText(months, input.query.months, pointer.last_month)},"freshness":${freshnessText(pointer, source)}}`);
  });
  route(router, getSubscriberRecommendation, async (input) => {
    const { isdn, body, pointer, source } = await find(input, 'getSubscriberRecommendation', false);
    const { recommendation } = partsOf(body);
    if (recommendation === 'null') throw notFound('a recommendation for this subscriber');
    return sendText(input.res, `{"isdn":${isdn},"recommendation":${recommendation},"freshness":${freshnessText(pointer, source, ['recommendation'])}}`);
  });
  route(router, getSubscriberProfile, async (input) => {
    const { isdn, body, pointer, source } = await find(input, 'getSubscriberProfile', false);
    const { profile } = partsOf(body);
    if (profile === 'null') throw notFound('a profile of this subscriber');
    return sendText(input.res, `{"isdn":${isdn},"profile":${profile},"freshness":${freshnessText(pointer, source, ['profile'])}}`);
  });
  route(router, getSubscriberArpu, async (input) => {
    const { isdn, months, pointer, source } = await find(input, 'getSubscriberArpu', true);
    if (months === null) throw notFound('ARPU of this subscriber');
    return sendText(input.res, `{"isdn":${isdn},"arpu":${arpuText(months, input.query.months, pointer.last_month)},"freshness":${freshnessText(pointer, source, ['arpu'])}}`);
  });
  return router;
}
