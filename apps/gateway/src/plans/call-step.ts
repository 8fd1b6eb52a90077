import { PLAN_LIMITS } from '@millrace/contracts';
import { request } from 'undici';
import { z } from 'zod';
import type { StepAnswer } from './plan-record.repository.ts';
import type { StepCall } from './plan-calls.ts';

/**
 * What came of one call. `done`, `failed`: it is over, by its answer. `refused`: it has had no effect, and may be tried again after `waitMs`. `unclear`: it may
 * have had its effect, or have it yet. `taken`: a call under the same Idempotency-Key is at work, or broke off a moment ago, so that one counts.
 */
export type Outcome =
  | { readonly kind: 'done'; readonly answer: StepAnswer }
  | { readonly kind: 'failed'; readonly answer: StepAnswer }
  | { readonly kind: 'refused'; readonly why: string; readonly waitMs?: number }
  | { readonly kind: 'taken'; readonly why: string; readonly waitMs?: number }
  | { readonly kind: 'unclear'; readonly why: string; readonly waitMs?: number };

export interface CallStepInput {
  readonly call: StepCall;
  /** Of the gateway that is called. */
  readonly baseUrl: string;
  readonly token: string;
  readonly idempotencyKey: string;
}

/** Calls the gateway as anybody does. Never rejects. */
export type CallStep = (input: CallStepInput) => Promise<Outcome>;

/** Failures of connecting: nothing was sent. */
const UNSENT = new Set<string>(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH', 'UND_ERR_CONNECT_TIMEOUT']);
const codeOf = (error: unknown): string => (typeof error === 'object' && error !== null && 'code' in error && typeof error.code === 'string' ? error.code : 'no answer');

/** The first bytes of an answer; the rest is read and thrown away, so that the connection can be used again. */
async function readAnswer(body: AsyncIterable<Buffer>): Promise<Pick<StepAnswer, 'text' | 'isTruncated'>> {
  const kept: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    if (bytes < PLAN_LIMITS.answerBytes) kept.push(chunk);
    bytes += chunk.length;
  }
  return { text: Buffer.concat(kept).subarray(0, PLAN_LIMITS.answerBytes).toString('utf8'), isTruncated: bytes > PLAN_LIMITS.answerBytes };
}

const MAX_WAIT_MS = 30_000;

function waitOf(header: string | string[] | undefined): number | undefined {
  const seconds = typeof header === 'string' ? Number(header) : Number.NaN;
  return Number.isFinite(seconds) && seconds >= 0 ? Math.min(seconds * 1_000, MAX_WAIT_MS) : undefined;
}

const problemSchema = z.object({ code: z.string(), retry_after_seconds: z.number().nonnegative().optional().catch(undefined) });
const messageSchema = z.object({ error: z.unknown().optional(), result: z.object({ isError: z.boolean().optional(), _meta: z.object({ 'millrace/problem': problemSchema }).optional().catch(undefined) }).optional() });

/** Where a tool says one of these, something was away or used up for a moment: as 5xx and 429 of an operation. */
const PASSING = new Set(['rate_limited', 'unavailable', 'upstream_unavailable', 'timeout', 'upstream_timeout']);

/** What the MCP server says where a tool did not do it, in a short answer of status 200. Tools of plans only read, so nothing is unclear. */
function outcomeOfTool(answer: StepAnswer): Outcome {
  const failed: Outcome = { kind: 'failed', answer };
  if (answer.isTruncated) return { kind: 'done', answer };
  try {
    const said = messageSchema.safeParse(JSON.parse(answer.text));
    if (!said.success || said.data.error !== undefined) return failed;
    const { result } = said.data;
    if (result?.isError !== true) return { kind: 'done', answer };
    const problem = result._meta?.['millrace/problem'];
    if (problem === undefined || !PASSING.has(problem.code)) return failed;
    const { code, retry_after_seconds: seconds } = problem;
    return { kind: 'refused', why: `the tool answered ${code}`, ...(seconds !== undefined && { waitMs: Math.min(seconds * 1_000, MAX_WAIT_MS) }) };
  } catch {
    // No message at all.
    return failed;
  }
}

function outcomeOf(answer: StepAnswer, { isTool }: StepCall, waitMs: number | undefined): Outcome {
  const { status } = answer;
  const wait = waitMs === undefined ? {} : { waitMs };
  if (status < 400) return isTool ? outcomeOfTool(answer) : { kind: 'done', answer };
  // Counted, not called.
  if (status === 429) return { kind: 'refused', why: 'a limit is used up (429)', ...wait };
  if (status === 409 && waitMs !== undefined) return { kind: 'taken', why: 'it is being done already, or cannot be done just now (409)', ...wait };
  if (status >= 500) return { kind: 'unclear', why: `the answer was ${status}`, ...wait };
  return { kind: 'failed', answer };
}

export const callStep: CallStep = async ({ call, baseUrl, token, idempotencyKey }) => {
  try {
    const { statusCode, headers, body } = await request(baseUrl + call.path, {
      method: call.operation.method === 'get' ? 'GET' : call.operation.method === 'post' ? 'POST' : call.operation.method === 'put' ? 'PUT' : call.operation.method === 'patch' ? 'PATCH' : 'DELETE',
      headers: { ...call.headers, authorization: `Bearer ${token}`, 'idempotency-key': idempotencyKey, 'x-request-id': idempotencyKey, 'user-agent': 'millrace-plans' },
      body: call.body ?? null, headersTimeout: call.timeoutMs, bodyTimeout: call.timeoutMs,
    });
    return outcomeOf({ status: statusCode, ...(await readAnswer(body)) }, call, waitOf(headers['retry-after']));
  } catch (error) {
    const code = codeOf(error);
    return UNSENT.has(code) ? { kind: 'refused', why: 'the gateway could not be reached' } : { kind: 'unclear', why: `the call broke off (${code})` };
  }
};
