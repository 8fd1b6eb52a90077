import { inputRequired } from '@modelcontextprotocol/server';
import type { CallToolResult, InputRequiredResult } from '@modelcontextprotocol/server';
import type { Millrace } from '@millrace/client';
import { z } from 'zod';
import { cleanText, cleanValue } from './clean.ts';
import type { Confirmations } from './confirmations.ts';
import { RefusedError, refusalOf } from './refused-error.ts';
import type { Refusal } from './refused-error.ts';
import { NOTICE } from './tool.ts';
import type { Outcome, Reply, Tool, ToolCaller } from './tool.ts';
import type { ToolLimits, Usage } from './usage.ts';

/** One call of a tool, for the log: nothing of what was asked or answered. */
export interface CalledTool {
  readonly tool: string;
  readonly caller: string;
  /** Of the request that the call came with. */
  readonly requestId: string | undefined;
  /** `ok`, `question`, or the code of the refusal; `internal_error` for a bug. */
  readonly outcome: string;
  readonly seconds: number;
}

export interface CallDeps {
  readonly confirmations: Confirmations;
  readonly usage: Usage;
  /** Counts where `usage` cannot: for this process alone, and only tools that read, and nothing of persons. */
  readonly localUsage: Pick<Usage, 'take'>;
  /** By tool, instead of its own. */
  readonly limits?: Readonly<Record<string, ToolLimits>>;
  readonly onCalled: (call: CalledTool) => void;
  /** A tool failed as it must not. */
  readonly onBug: (error: unknown, call: Pick<CalledTool, 'tool' | 'requestId'>) => void;
  /** Calls cannot be counted over all instances now. */
  readonly onUncounted: (error: unknown, tool: string) => void;
  /** Longest time that one call may take; default 20 s. */
  readonly timeoutMs?: number;
}

/** Who is served. */
export interface Connection {
  /** The gateway, in the caller's name. */
  readonly api: Millrace;
  readonly caller: ToolCaller;
  readonly requestId?: string | undefined;
}

export interface GivenCall {
  /** As they came. */
  readonly args: unknown;
  readonly signal: AbortSignal;
  readonly canAsk: boolean;
  readonly reply?: Reply | undefined;
}

const TIMEOUT_MS = 20_000;
const MAX_PROBLEMS = 5;
/** Of one answer: what a model can take in. A whole product is far below. */
const MAX_ANSWER = 200_000;
const BUG: Refusal = { code: 'internal_error', detail: 'something went wrong here: it has been written down for whoever runs this shop' };

/** All wrong arguments in one sentence: a model mends them at once. Names its own values only where they are names of arguments. */
function wrongArguments(error: z.ZodError): Refusal {
  const [first] = error.issues;
  const said = error.issues.slice(0, MAX_PROBLEMS).map(({ path, message }) => `${path.length === 0 ? 'arguments' : path.join('.')}: ${message}`);
  return { code: 'invalid_request', detail: cleanText(said.join('; '), 1_000), pointer: cleanText(`/${(first?.path ?? []).join('/')}`, 300) };
}

export function refused(refusal: Refusal): CallToolResult {
  const { code, detail, retryAfterSeconds, pointer } = refusal;
  const wait = retryAfterSeconds === undefined ? '' : ` (try again in ${retryAfterSeconds} s)`;
  return {
    isError: true,
    content: [{ type: 'text', text: `${code}: ${detail}${wait}` }],
    _meta: { 'millrace/problem': { code, detail, ...(pointer !== undefined && { pointer }), ...(retryAfterSeconds !== undefined && { retry_after_seconds: retryAfterSeconds }) } },
  };
}

export const lacking = (tool: Tool, caller: ToolCaller): readonly string[] => tool.scopes.filter((scope) => !caller.scopes.includes(scope));

async function count(deps: CallDeps, tool: Tool, caller: ToolCaller): Promise<void> {
  const limits = deps.limits?.[tool.name] ?? tool.limits;
  const who = `${caller.workspaceId}/${caller.id}`;
  const taken = await deps.usage.take(who, tool.name, limits).catch((error: unknown) => {
    deps.onUncounted(error, tool.name);
    if (tool.annotations.readOnlyHint && tool.showsPersons !== true) return deps.localUsage.take(who, tool.name, limits);
    // What shows persons is for so many a day, and no more because a server is down; a change waits, too.
    throw new RefusedError({ code: 'unavailable', detail: `calls of ${tool.name} cannot be counted now, so it does nothing: try again in a moment`, retryAfterSeconds: 2 });
  });
  if (taken.isAdmitted) return;
  const quota = taken.by === 'day' ? `${limits.perDay} calls a day` : `${limits.perMinute} calls a minute`;
  throw new RefusedError({ code: taken.by === 'day' ? 'daily_cap' : 'rate_limited', detail: `${tool.name} may be called no more: ${quota} are used up`, retryAfterSeconds: taken.retryAfterSeconds });
}

/** Every text cleaned, only what the tool declares, and where it came from. */
function answered(tool: Tool, outcome: Extract<Outcome, { readonly data: unknown }>): CallToolResult {
  const { source, asOf, ageSeconds } = outcome.origin;
  const structuredContent = { notice: NOTICE, source, as_of: asOf, age_seconds: ageSeconds, truncated: outcome.isTruncated === true, data: tool.output.parse(cleanValue(outcome.data)) };
  const text = JSON.stringify(structuredContent);
  if (text.length > MAX_ANSWER) throw new RefusedError({ code: 'answer_too_large', detail: `the answer has more than ${MAX_ANSWER} characters: ask for fewer at once` });
  return { content: [{ type: 'text', text }], structuredContent };
}

/** Ends with the caller, or when the call takes too long; `stop` leaves nothing behind that waits. */
function deadlineOf(caller: AbortSignal, timeoutMs: number): { readonly signal: AbortSignal; readonly stop: () => void } {
  const ended = new AbortController();
  const end = (): void => ended.abort(caller.reason);
  if (caller.aborted) end();
  caller.addEventListener('abort', end, { once: true });
  const timer = setTimeout(() => ended.abort(new DOMException(`no answer within ${timeoutMs} ms`, 'TimeoutError')), timeoutMs);
  return {
    signal: ended.signal,
    stop: () => {
      clearTimeout(timer);
      caller.removeEventListener('abort', end);
    },
  };
}

/** An answer of the API that is not of its contract is a ZodError, too: that one is a bug. */
function prepare(tool: Tool, args: unknown): ReturnType<Tool['prepare']> {
  try {
    return tool.prepare(args);
  } catch (error) {
    throw error instanceof z.ZodError ? new RefusedError(wrongArguments(error)) : error;
  }
}

async function attempt(deps: CallDeps, { api, caller }: Connection, tool: Tool, { args, ...options }: GivenCall): Promise<{ readonly result: CallToolResult | InputRequiredResult; readonly outcome: string }> {
  const missing = lacking(tool, caller);
  if (missing.length > 0) throw new RefusedError({ code: 'forbidden', detail: `${tool.name} needs the scope ${missing.join(' and ')}, which this key does not have` });
  const run = prepare(tool, args);
  // The answer to a question goes on with a call that was counted.
  if (!options.reply) await count(deps, tool, caller);
  const deadline = deadlineOf(options.signal, deps.timeoutMs ?? TIMEOUT_MS);
  const outcome = await run({ api, caller, signal: deadline.signal, confirmations: deps.confirmations, usage: deps.usage, canAsk: options.canAsk, reply: options.reply }).finally(deadline.stop);
  if (outcome.question === undefined) return { result: answered(tool, outcome), outcome: 'ok' };
  const request = inputRequired.elicit({ message: cleanText(outcome.question, 1_000), requestedSchema: { type: 'object', properties: { confirm: { type: 'boolean', title: 'Yes, change it', description: 'true: change it; false: leave it as it is' } }, required: ['confirm'] } });
  return { result: inputRequired({ inputRequests: { confirm: request }, requestState: outcome.token }), outcome: 'question' };
}

/** Calls one tool. Never rejects: what goes wrong is an answer with `isError`, in a sentence; a bug is told to nobody but `onBug`. */
export async function callTool(deps: CallDeps, connection: Connection, tool: Tool, given: GivenCall): Promise<CallToolResult | InputRequiredResult> {
  const startMs = performance.now();
  const called = (outcome: string): void => deps.onCalled({ tool: tool.name, caller: connection.caller.id, requestId: connection.requestId, outcome, seconds: (performance.now() - startMs) / 1_000 });
  try {
    const { result, outcome } = await attempt(deps, connection, tool, given);
    called(outcome);
    return result;
  } catch (error) {
    const refusal = refusalOf(error);
    if (!refusal) deps.onBug(error, { tool: tool.name, requestId: connection.requestId });
    called((refusal ?? BUG).code);
    return refused(refusal ?? BUG);
  }
}
