import { getSubscriber, getSubscriberArpu, getSubscriberProfile, getSubscriberRecommendation } from '@millrace/contracts';
import { directGet, okText, requestIdOf, route } from '@millrace/http';
import type { DirectGetInput, DirectRoute, Reply, RouteInput } from '@millrace/http';
import { AppError, notFound } from '@millrace/service';
import type { IdentityVerifier } from '@millrace/service';
import { parseIsdn } from '@millrace/subscribers';
import type { Pointer } from '@millrace/subscribers';
import { Router } from 'express';
import type { Response } from 'express';
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

/** Personal data is in no cache. */
const answer = (text: string): Reply => okText(text, { 'Cache-Control': 'no-store' });

interface Handlers {
  readonly subscriber: (input: DirectGetInput<typeof getSubscriber>) => Promise<Reply>;
  readonly recommendation: (input: DirectGetInput<typeof getSubscriberRecommendation>) => Promise<Reply>;
  readonly profile: (input: DirectGetInput<typeof getSubscriberProfile>) => Promise<Reply>;
  readonly arpu: (input: DirectGetInput<typeof getSubscriberArpu>) => Promise<Reply>;
}

function createHandlers({ reader, piiReads }: SubscriberRoutesDeps): Handlers {
  const find = async ({ params: { isdn: text }, query: { unmask }, identity, requestId }: DirectGetInput<typeof getSubscriberProfile>, operation: string, withMonths: boolean): Promise<One> => {
    const isdn = requireIsdn(text);
    if (unmask) await piiReads.allow(identity, { operation, isdns: 1, requestId });
    const { pointer, found: [found] } = await reader.find([isdn], { withMonths });
    if (found === undefined) throw notFound('this subscriber');
    return { ...found, pointer, isdn: shownIsdn(isdn, unmask) };
  };
  return {
    async subscriber(input) {
      const { isdn, body, months, pointer, source } = await find(input, 'getSubscriber', true);
      return answer(`{"isdn":${isdn},${body.slice(0, -1)},"arpu":${arpuText(months, input.query.months, pointer.last_month)},"freshness":${freshnessText(pointer, source)}}`);
    },
    async recommendation(input) {
      const { isdn, body, pointer, source } = await find(input, 'getSubscriberRecommendation', false);
      const { recommendation } = partsOf(body);
      if (recommendation === 'null') throw notFound('a recommendation for this subscriber');
      return answer(`{"isdn":${isdn},"recommendation":${recommendation},"freshness":${freshnessText(pointer, source, ['recommendation'])}}`);
    },
    async profile(input) {
      const { isdn, body, pointer, source } = await find(input, 'getSubscriberProfile', false);
      const { profile } = partsOf(body);
      if (profile === 'null') throw notFound('a profile of this subscriber');
      return answer(`{"isdn":${isdn},"profile":${profile},"freshness":${freshnessText(pointer, source, ['profile'])}}`);
    },
    async arpu(input) {
      const { isdn, months, pointer, source } = await find(input, 'getSubscriberArpu', true);
      if (months === null) throw notFound('ARPU of this subscriber');
      return answer(`{"isdn":${isdn},"arpu":${arpuText(months, input.query.months, pointer.last_month)},"freshness":${freshnessText(pointer, source, ['arpu'])}}`);
    },
  };
}

/** `GET /api/ut360/subscribers|recommendations|profiles|arpu/{isdn}` in front of express, where they have no parameters; `subscriberRoutes` does the rest. */
export function directSubscriberRoutes(deps: SubscriberRoutesDeps, verifier: IdentityVerifier): readonly DirectRoute[] {
  const { subscriber, recommendation, profile, arpu } = createHandlers(deps);
  const callers = { verifier, issuers: ['gateway'] };
  return [
    directGet({ operation: getSubscriber, handle: subscriber, ...callers }), directGet({ operation: getSubscriberRecommendation, handle: recommendation, ...callers }),
    directGet({ operation: getSubscriberProfile, handle: profile, ...callers }), directGet({ operation: getSubscriberArpu, handle: arpu, ...callers }),
  ];
}

const withId = <O>(input: RouteInput<O>): RouteInput<O> & { readonly requestId: string | undefined } => ({ ...input, requestId: requestIdOf(input.req) });

/** `GET /api/ut360/subscribers|recommendations|profiles|arpu/{isdn}`. */
export function subscriberRoutes(deps: SubscriberRoutesDeps): Router {
  const router = Router();
  const { subscriber, recommendation, profile, arpu } = createHandlers(deps);
  route(router, getSubscriber, (input) => subscriber(withId(input)));
  route(router, getSubscriberRecommendation, (input) => recommendation(withId(input)));
  route(router, getSubscriberProfile, (input) => profile(withId(input)));
  route(router, getSubscriberArpu, (input) => arpu(withId(input)));
  return router;
}
