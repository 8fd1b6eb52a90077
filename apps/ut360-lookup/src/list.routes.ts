import { subscribersOfCluster, subscribersOfRisk, topOfService } from '@millrace/contracts';
import { decodeCursor, encodeCursor, requestIdOf, route } from '@millrace/http';
import type { Identity } from '@millrace/service';
import type { Pointer } from '@millrace/subscribers';
import { Router } from 'express';
import type { Request, Response } from 'express';
import { z } from 'zod';
import { entryText, freshnessText, shownIsdn, sourceOf } from './answers.ts';
import type { IndexMembers, IndexName, Members, Position } from './index-members.ts';
import type { LivePointer } from './live-pointer.ts';
import { sendText } from './subscriber.routes.ts';
import type { SubscriberRoutesDeps } from './subscriber.routes.ts';

export interface ListRoutesDeps extends SubscriberRoutesDeps {
  readonly members: IndexMembers;
  readonly pointer: LivePointer;
  /** The pointer of this moment. */
  readonly askPointer: () => Promise<Pointer>;
}

/** What Postgres takes for a `ctid`: a block of 32 bits and a row of 16. */
function isPlace(text: string): boolean {
  const [, block, row] = /^(\d{1,10}),(\d{1,5})$/.exec(text) ?? [];
  return block !== undefined && Number(block) <= 0xff_ff_ff_ff && Number(row) <= 0xff_ff;
}
const cursorSchema = z.strictObject({ g: z.int(), p: z.union([z.strictObject({ scan: z.string().regex(/^\d{1,20}$/) }), z.strictObject({ after: z.string().refine(isPlace) })]) });

/** Another generation has other places: a page from before it begins anew. */
function positionOf(cursor: string | undefined, pointer: Pointer): Position | undefined {
  if (cursor === undefined) return undefined;
  const { g, p } = decodeCursor(cursorSchema, cursor);
  return g === pointer.redis ? p : undefined;
}

interface ListInput {
  readonly query: { readonly unmask: boolean; readonly limit: number };
  readonly identity: Identity;
  readonly req: Request;
  readonly res: Response;
}

interface Answering {
  readonly operation: string;
  readonly pointer: Pointer;
  readonly isPaged: boolean;
}

/** `GET /api/ut360/services/{type}/top`, `/risk/{level}`, `/clusters/{group}`. */
export function listRoutes({ reader, piiReads, members, pointer: live, askPointer }: ListRoutesDeps): Router {
  const router = Router();
  /** The list of the generation that is known; Redis tells with it whether that is still the live one. */
  const resolve = async (list: (pointer: Pointer) => Promise<Members>): Promise<{ readonly pointer: Pointer; readonly found: Members }> => {
    const known = live.current;
    const first = list(known);
    const seen = await first.then((found) => found.seen, () => undefined);
    const pointer = seen === undefined ? await askPointer() : live.observe(seen);
    return { pointer, found: await (pointer.redis === known.redis ? first : list(pointer)) };
  };
  const answer = async ({ query, identity, req, res }: ListInput, { operation, pointer, isPaged }: Answering, { isdns, total, next }: Members): Promise<undefined> => {
    if (query.unmask && isdns.length > 0) await piiReads.allow(identity, { operation, isdns: isdns.length, requestId: requestIdOf(req) });
    const { found } = isdns.length === 0 ? { found: [] } : await reader.find(isdns, { withMonths: false, at: pointer });
    const data = found.flatMap((one, at) => (one === undefined ? [] : [`{${entryText(shownIsdn(isdns[at] ?? '', query.unmask), one, undefined)}`]));
    const page = isPaged ? `,"page":{"next":${next === undefined ? 'null' : `"${encodeCursor({ g: pointer.redis, p: next })}"`}}` : '';
    return sendText(res, `{"data":[${data.join(',')}],"total":${total}${page},"freshness":${freshnessText(pointer, sourceOf(found))}}`);
  };
  const page = async (input: ListInput & { readonly query: { readonly cursor?: string | undefined } }, operation: string, name: IndexName): Promise<undefined> => {
    const { pointer, found } = await resolve(async (at) => await members.page(at, name, { limit: input.query.limit, from: positionOf(input.query.cursor, at) }));
    return await answer(input, { operation, pointer, isPaged: true }, found);
  };
  route(router, topOfService, async (input) => {
    const { pointer, found } = await resolve((at) => members.top(at, { kind: 'service', value: input.params.type }, input.query.limit));
    return await answer(input, { operation: 'topOfService', pointer, isPaged: false }, found);
  });
  route(router, subscribersOfRisk, async (input) => await page(input, 'subscribersOfRisk', { kind: 'risk', value: input.params.level }));
  route(router, subscribersOfCluster, async (input) => await page(input, 'subscribersOfCluster', { kind: 'cluster', value: input.params.group }));
  return router;
}
