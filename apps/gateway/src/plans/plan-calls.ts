import { keptByService, planTools, repetitions } from '@millrace/contracts';
import type { Operation, PlanStep } from '@millrace/contracts';
import { parsePart } from '@millrace/http';
import { AppError } from '@millrace/service';
import type { ErrorDetail } from '@millrace/service';
import type { z } from 'zod';
import { MCP } from '../mcp/mcp-policy.ts';

/** One step as HTTP: the same bytes each time, so that a repetition is known as one. */
export interface StepCall {
  readonly operation: Operation;
  readonly method: string;
  /** With its query. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | undefined;
  /** What it needs: its token has these and no others. */
  readonly scopes: readonly string[];
  /** Longest wait for the answer. */
  readonly timeoutMs: number;
  /** A message to the MCP server, whose refusals are answered with 200. */
  readonly isTool: boolean;
  /**
   * What calling it again does where nobody knows what became of the first call. `nothing`: it reads. `once`: its service itself keeps the answer to the
   * step's Idempotency-Key, for a day. `again`: perhaps its effect a second time, so its caller decides.
   */
  readonly repeated: 'nothing' | 'once' | 'again';
}

export interface PlanCalls {
  /** @throws invalid_request, forbidden: with a pointer into the plan */
  check(steps: readonly PlanStep[], scopes: readonly string[]): void;
  /** Of a step that was checked. */
  toCall(step: PlanStep): StepCall;
}

const DEFAULT_TIMEOUT_MS = 10_000;
/** For what stands between this process and the gateway that answers. */
const MARGIN_MS = 2_000;

const wrong = (pointer: string, detail: string, code: 'invalid_request' | 'forbidden' = 'invalid_request'): AppError => new AppError(code, `body ${pointer}: ${detail}`, { details: [{ in: 'body', pointer, detail }] });

/** Their addresses and answers are about persons: plans are kept for days, and no erasure of subscribers would find them. */
const ABOUT_PERSONS = new Set<Operation['scope']>(['events:read', 'users:erase', 'ut360:read']);

/** Why it is no step; undefined: it may be one. */
function refusalOf({ scope, service, isPersonal, isFeed, isDownload, streams, holdsSecret, notDelegable, isSigned }: Operation): string | undefined {
  if (isFeed === true || isDownload === true || streams) return 'is a feed, a download or an upload: call it by itself';
  if (holdsSecret === true || notDelegable === true || isSigned === true) return 'cannot be called for somebody else: call it yourself';
  if (service === MCP) return 'is a message of the protocol: name a tool instead';
  if (isPersonal === true || ABOUT_PERSONS.has(scope)) return 'is about persons, and plans are kept: call it by itself';
  return undefined;
}

/** Every part by the schema that the service will parse it with; what is wrong is named by its place in the plan. */
function parseAt(schema: z.ZodType, value: unknown, pointer: string): void {
  try {
    parsePart(schema, value, 'body');
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    const details: ErrorDetail[] = error.details.map((one) => ({ ...one, in: 'body', pointer: pointer + one.pointer }));
    throw new AppError('invalid_request', `body ${details[0]?.pointer ?? pointer}: ${details[0]?.detail ?? 'is not valid'}`, { details });
  }
}

const textsOf = (values: Readonly<Record<string, unknown>>): Record<string, string | string[]> =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [name, Array.isArray(value) ? value.map(String) : String(value)]));

const NAMES = /\{(\w+)\}/g;

/** A path that leads elsewhere once somebody resolves its dots must not be written. */
function checkParams({ path, params: schema }: Operation, params: Readonly<Record<string, string | number>>, at: string): void {
  const names = [...path.matchAll(NAMES)].map(([, name = '']) => name);
  for (const name of names) {
    const value = params[name];
    if (value === undefined) throw wrong(`${at}/${name}`, 'is required');
    if (/^\.{1,2}$/.test(String(value))) throw wrong(`${at}/${name}`, 'must not be . or ..');
  }
  const unknown = Object.keys(params).find((name) => !names.includes(name));
  if (unknown !== undefined) throw wrong(`${at}/${unknown}`, 'is not known here');
  if (schema) parseAt(schema, textsOf(params), at);
}

function checkParts(operation: Operation, { params = {}, query = {}, headers = {}, body }: PlanStep, at: string): void {
  checkParams(operation, params, `${at}/params`);
  if (operation.query) parseAt(operation.query, textsOf(query), `${at}/query`);
  else if (Object.keys(query).length > 0) throw wrong(`${at}/query`, 'this operation has no query');
  if (operation.headers) parseAt(operation.headers, headers, `${at}/headers`);
  if (operation.body) parseAt(operation.body, body, `${at}/body`);
  else if (body !== undefined) throw wrong(`${at}/body`, 'this operation has no body');
}

function repeatedOf({ operationId, method }: Operation): StepCall['repeated'] {
  if (method === 'get' || repetitions[operationId] === 'read') return 'nothing';
  return keptByService.has(operationId) ? 'once' : 'again';
}

function pathOf({ path }: Operation, { params = {}, query = {} }: PlanStep): string {
  const own = path.replaceAll(NAMES, (_match, name: string) => encodeURIComponent(String(params[name] ?? '')));
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(textsOf(query))) for (const one of [value].flat()) search.append(name, one);
  return search.size === 0 ? own : `${own}?${search.toString()}`;
}

/** A tool as the message that calls it. */
const messageOf = ({ tool, arguments: given = {} }: PlanStep): unknown => ({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: tool, arguments: given } });
/** What the protocol asks of clients. */
const MESSAGE_HEADERS = { accept: 'application/json, text/event-stream', 'mcp-protocol-version': '2025-06-18' };

const ONLY_FOR_OPERATIONS = ['params', 'query', 'headers', 'body'] as const;

/** Their arguments are checked where they are called: the tools are not known here, but their names are. */
function checkTool(step: PlanStep, { path }: Operation, at: string): void {
  const stray = ONLY_FOR_OPERATIONS.find((name) => step[name] !== undefined);
  if (stray !== undefined) throw wrong(`${at}/${stray}`, `belongs to an operation: a tool of ${path} has arguments`);
  const { arguments: given } = step;
  if (given !== undefined && (typeof given !== 'object' || given === null || Array.isArray(given))) throw wrong(`${at}/arguments`, 'must be an object');
}

/** What may be a step of a plan: operations of this gateway, and tools of the MCP server that only read. */
export function createPlanCalls(operations: readonly Operation[]): PlanCalls {
  const known = new Map(operations.map((operation) => [operation.operationId, operation]));
  const mcp = operations.find(({ service, method }) => service === MCP && method === 'post');
  const find = ({ operation, tool = '' }: PlanStep, at: string): Operation => {
    if (operation === undefined) {
      if (!mcp || !Object.hasOwn(planTools, tool)) throw wrong(`${at}/tool`, `no tool ${tool} can be a step: those that only read can (${Object.keys(planTools).join(', ')}), and operations`);
      return mcp;
    }
    const found = known.get(operation);
    if (!found) throw wrong(`${at}/operation`, `there is no operation ${operation}`);
    const refusal = refusalOf(found);
    if (refusal !== undefined) throw wrong(`${at}/operation`, refusal);
    return found;
  };
  const scopesOf = ({ tool }: PlanStep, { scope }: Operation): readonly string[] => [...new Set([scope, ...(tool === undefined ? [] : (planTools[tool] ?? []))])];
  return {
    check(steps, scopes) {
      for (const [place, step] of steps.entries()) {
        const at = `/steps/${place}`;
        const operation = find(step, at);
        const missing = scopesOf(step, operation).filter((scope) => !scopes.includes(scope));
        if (missing.length > 0) throw wrong(`${at}/${step.tool === undefined ? 'operation' : 'tool'}`, `needs the scope ${missing.join(' and ')}`, 'forbidden');
        if (step.tool !== undefined) {
          checkTool(step, operation, at);
          continue;
        }
        if (step.arguments !== undefined) throw wrong(`${at}/arguments`, 'belong to a tool');
        checkParts(operation, step, at);
      }
    },
    toCall(step) {
      const operation = find(step, '');
      const isTool = step.tool !== undefined;
      const body = isTool ? messageOf(step) : step.body;
      const own = isTool ? MESSAGE_HEADERS : { accept: 'application/json', ...Object.fromEntries(Object.entries(step.headers ?? {}).filter((entry): entry is [string, string] => entry[1] !== undefined)) };
      return {
        operation, isTool, method: operation.method.toUpperCase(), path: pathOf(operation, step), scopes: scopesOf(step, operation), repeated: isTool ? 'nothing' : repeatedOf(operation), timeoutMs: (operation.timeoutMs ?? DEFAULT_TIMEOUT_MS) + MARGIN_MS,
        headers: { ...own, ...(body !== undefined && { 'content-type': 'application/json' }) }, body: body === undefined ? undefined : JSON.stringify(body),
      };
    },
  };
}
