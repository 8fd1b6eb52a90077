import { setStock, skuSchema } from '@millrace/contracts';
import { z } from 'zod';

/** The one tool that changes what no audited operation does: the same call shows a change, or makes it. */
export const STOCK_TOOL = 'update_stock';

/** The sku that a call of the tool names; undefined: none that a product can have. */
export const skuOf = (args: unknown): string | undefined => z.object({ sku: skuSchema }).safeParse(args).data?.sku;

/** It cannot be known whether the stock has changed. */
export const UNKNOWN = 'unknown';
/** The message was refused before there was a tool. */
export const REFUSED = 'refused';

/** Answers of which the sku is written down: there is such a product, or it may have changed. Of any other the sku is what the caller chose to write. */
const OF_A_PRODUCT: ReadonlySet<string> = new Set(['preview', 'declined', 'done', 'precondition_failed', 'confirmation_used', 'timeout', 'unavailable', 'internal_error', UNKNOWN]);

/** What a call did, for the audit log: of callers who may not change a stock never a sku, and never that they might have. */
export function auditedChange(state: string, sku: string | undefined, scopes: readonly string[]): string {
  if (!scopes.includes(setStock.scope)) return state === UNKNOWN ? REFUSED : state;
  return sku !== undefined && OF_A_PRODUCT.has(state) ? `${state}/${encodeURIComponent(sku)}` : state;
}

/** What the gateway says of a call that had been sent on already: the answer was late, lost, or a bug. */
const IS_OPEN: ReadonlySet<string> = new Set(['upstream_timeout', 'upstream_unavailable', 'internal']);
/** Of JSON-RPC (5.1): something went wrong, nobody says when. */
const INTERNAL_ERROR = -32_603;

const done = z.object({ structuredContent: z.object({ data: z.object({ state: z.enum(['preview', 'done', 'declined']) }) }) }).transform(({ structuredContent }) => structuredContent.data.state);
const refused = z.object({ _meta: z.object({ 'millrace/problem': z.object({ code: z.string().regex(/^[a-z_]{1,40}$/) }) }) }).transform(({ _meta: meta }) => (IS_OPEN.has(meta['millrace/problem'].code) ? UNKNOWN : meta['millrace/problem'].code));
const answerSchema = z.union([
  z.object({ result: z.union([done, refused]) }).transform(({ result }) => result),
  z.object({ error: z.object({ code: z.int() }) }).transform(({ error }) => (error.code === INTERNAL_ERROR ? UNKNOWN : REFUSED)),
]);

/** What the tool did, of its answer: `preview` and `declined` changed nothing, `done` did; else the code of its refusal, `refused` where it was not even asked, or `unknown`. Never throws. */
export function stateOf(answer: Buffer): string {
  try {
    return answerSchema.safeParse(JSON.parse(answer.toString('utf8'))).data ?? UNKNOWN;
  } catch {
    // What is not JSON is not of the tool.
    return UNKNOWN;
  }
}
