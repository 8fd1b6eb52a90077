import { skuSchema } from '@millrace/contracts';
import { z } from 'zod';

/** The one tool that changes what no audited operation does: the same call shows a change, or makes it. */
export const STOCK_TOOL = 'update_stock';

/** The sku that a call of the tool names; undefined: none that a product can have. */
export const skuOf = (args: unknown): string | undefined => z.object({ sku: skuSchema }).safeParse(args).data?.sku;

/** It cannot be known whether the stock has changed. */
export const UNKNOWN = 'unknown';

const done = z.object({ structuredContent: z.object({ data: z.object({ state: z.enum(['preview', 'done', 'declined']) }) }) }).transform(({ structuredContent }) => structuredContent.data.state);
const refused = z.object({ _meta: z.object({ 'millrace/problem': z.object({ code: z.string().regex(/^[a-z_]{1,40}$/) }) }) }).transform(({ _meta: meta }) => meta['millrace/problem'].code);
const answerSchema = z.object({ result: z.union([done, refused]) });

/** What the tool did, of its answer: `preview` and `declined` changed nothing, `done` did; else the code of its refusal, or `unknown`. Never throws. */
export function stateOf(answer: Buffer): string {
  try {
    return answerSchema.safeParse(JSON.parse(answer.toString('utf8'))).data?.result ?? UNKNOWN;
  } catch {
    // What is not JSON is not of the tool.
    return UNKNOWN;
  }
}
