import { getProductPage } from '@millrace/contracts';
import { ok } from '@millrace/http';
import { Counter } from 'prom-client';
import type { Registry } from 'prom-client';
import { localRoute } from '../local-route.ts';
import type { LocalRoutes } from '../local-route.ts';
import { withPolicies } from '../policy.ts';
import type { Policy } from '../policy.ts';
import { answererOf } from '../route-table.ts';
import type { RouteTableDeps } from '../route-table.ts';
import { createAskPart } from './ask-part.ts';
import { createReadProductPage, partRules } from './product-page.ts';

export interface PageRoutesDeps extends Pick<RouteTableDeps, 'upstreams' | 'signer'> {
  /** Those of answers, as in the route table: a part is limited and shed with its page. */
  readonly policies: readonly Policy[];
  readonly metrics: Registry;
  readonly rules?: typeof partRules;
}

/** Nobody keeps a page that may be whole a moment later. */
const INCOMPLETE = { 'Cache-Control': 'no-store' };

/** `GET /api/pages/product/{sku}`. */
export function pageRoutes({ upstreams, signer, policies, metrics, rules = partRules }: PageRoutesDeps): LocalRoutes {
  const counted = new Counter({ name: 'page_parts_total', help: 'Parts of pages, by what they came to', labelNames: ['part', 'status'], registers: [metrics] });
  const parts = new Map(Object.values(rules).map(({ operation }) => [operation.operationId, withPolicies(operation, policies, answererOf(operation, { upstreams, signer, local: {} }))]));
  const read = createReadProductPage({ ask: createAskPart(parts), rules, onPart: (part, status) => counted.inc({ part, status }) });
  return localRoute(getProductPage, async ({ params: { sku }, query, identity, req }) => {
    const found = await read({ req, identity, sku, ...query });
    const complete = [...found.values()].every(({ status }) => status === 'ok');
    return ok({ sku, complete, parts: Object.fromEntries(found) }, complete ? {} : INCOMPLETE);
  });
}
