import type { Operation } from '@millrace/contracts';
import type { Limits } from '../limits/open-limits.ts';
import type { Policy } from '../policy.ts';
import { readMcpCall } from './mcp-call.ts';
import { UNKNOWN, auditedChange, stateOf } from './stock-change.ts';
import type { McpCall } from './mcp-call.ts';
import type { Request } from 'express';

/** The service that calls the gateway back in its callers' names. */
export const MCP = 'mcp';

/** Headers of the protocol, and what a page says of itself: the service judges them. */
const PROTOCOL_HEADERS = ['mcp-protocol-version', 'mcp-method', 'mcp-name', 'origin'] as const;

const calls = new WeakMap<Request, McpCall>();

/** What was read of a message, once the policy has seen it. */
export const mcpCallOf = (req: Request): McpCall | undefined => calls.get(req);

/** What the service gets besides the headers that every service gets. */
export function protocolHeaders(req: Request): Readonly<Record<string, string>> {
  return Object.fromEntries(PROTOCOL_HEADERS.flatMap((name) => {
    const value = req.get(name);
    return value === undefined ? [] : [[name, value]];
  }));
}

/** A sku has 128 characters, each up to 12 in a path: what is longer names nothing, and the log is kept for ever. */
export const AUDITED_CHARACTERS = 2_048;
const beginningOf = (path: string): string => (path.length > AUDITED_CHARACTERS ? `${path.slice(0, AUDITED_CHARACTERS - 1)}…` : path);

/**
 * The path that the audit log gets, of a long one the beginning: of messages the method and the tool, never an argument; of the one that changes stocks also what it did, and of which product. undefined: nothing is written. A message that was refused before it
 * was read is written with the bare path.
 */
export function auditPath(operation: Operation, req: Request, status: number): string | undefined {
  if (operation.service !== MCP) return operation.isPersonal === true ? operation.path : beginningOf(req.path);
  const call = mcpCallOf(req);
  if (call?.audited !== undefined) return `${operation.path}/${call.audited}`;
  return call && status < 400 ? undefined : operation.path;
}

/** Around the messages of the MCP server: one connection (a key and a program) has a limit of its own. */
export const mcpPolicy = (limits: Pick<Limits, 'takeMcp'> | undefined): Policy => (operation, answer) => {
  if (operation.service !== MCP) return answer;
  return async (call) => {
    const { req, res, owner } = call;
    const message = await readMcpCall(req, res);
    calls.set(req, message);
    if (!owner.isDevelopment) await limits?.takeMcp({ owner, client: message.client }, res);
    if (!message.stock) return await answer(call);
    const { audited, stock: { sku } } = message;
    const did = (state: string): void => void calls.set(req, { ...message, audited: `${audited}/${auditedChange(state, sku, owner.scopes)}` });
    did(UNKNOWN);
    const whole = await answer(call);
    if (whole) did(stateOf(whole.body));
    return whole;
  };
};
