import type { z } from 'zod';
import { answerDirectly, directCaller, safely } from './direct-route.ts';
import type { DirectCallers, DirectRoute } from './direct-route.ts';
import { toExpressPath } from './route.ts';
import type { Reply, RouteInput, RouteOperation } from './route.ts';

/** What the handler gets: the same values as behind `route`. */
export type DirectGetInput<O extends RouteOperation> = Pick<RouteInput<O>, 'params' | 'query' | 'identity'> & { readonly requestId: string | undefined };

export interface DirectGetOptions<O extends RouteOperation> extends DirectCallers {
  readonly operation: O & { readonly method: 'get'; readonly params: z.ZodType; readonly query: z.ZodType };
  /** Its reply has a body. */
  readonly handle: (input: DirectGetInput<O>) => Promise<Reply>;
}

/** The last segment, decoded; undefined where it is empty or no percent-encoding. */
const decoded = (segment: string): string | undefined => (segment.includes('%') ? safely(() => decodeURIComponent(segment)) : segment) || undefined;

/**
 * The short way (see `directRoute`) for reading one thing by its name: `GET /things/{id}`, where the parameter is the last segment and the only one, and
 * the request has neither a query nor a body, so that every parameter of the query has its default. Everything else is express'.
 */
export function directGet<const O extends RouteOperation>({ operation, handle, ...callers }: DirectGetOptions<O>): DirectRoute {
  const [, prefix = '', name = ''] = /^(.*\/)\{(\w+)\}$/.exec(operation.path) ?? [];
  const query = operation.query.safeParse({});
  return {
    method: 'GET',
    path: toExpressPath(operation.path),
    takes: (url) => query.success && prefix !== '' && url.startsWith(prefix) && /^[^/?#]+$/.test(url.slice(prefix.length)),
    async answer(req) {
      const { 'content-length': length, 'transfer-encoding': encoding } = req.headers;
      if (length !== undefined || encoding !== undefined) return undefined;
      const params = operation.params.safeParse({ [name]: decoded((req.url ?? '').slice(prefix.length)) });
      const identity = params.success ? await directCaller(req, operation, callers) : undefined;
      if (identity === undefined) return undefined;
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the parts were parsed by the very schemas that DirectGetInput is made of
      return await answerDirectly(req, ({ requestId }) => handle({ params: params.data, query: query.data, identity, requestId } as DirectGetInput<O>));
    },
  };
}
