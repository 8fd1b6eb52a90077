import { MCP_MESSAGE_BYTES, mcpPrompts, mcpTools } from '@millrace/contracts';
import type { Request, Response } from 'express';
import { readBody } from '../request-body.ts';
import { STOCK_TOOL, skuOf } from './stock-change.ts';

/** What the gateway needs to know of a message: the service reads the rest. */
export interface McpCall {
  /** As the program calls itself: its client info, else its User-Agent. */
  readonly client: string;
  /** For the audit log: `tools/call/search_products`; undefined for a message that only asks what there is. */
  readonly audited: string | undefined;
  /** A call of the tool that may change a stock, and of which product. */
  readonly stock?: { readonly sku: string | undefined };
}

const CLIENT_INFO = 'io.modelcontextprotocol/clientInfo';

const fieldsOf = (value: unknown): Readonly<Record<string, unknown>> => ({ ...(typeof value === 'object' && !Array.isArray(value) ? value : undefined) });

function parse(body: Buffer): Readonly<Record<string, unknown>> {
  try {
    return fieldsOf(JSON.parse(body.toString('utf8')));
  } catch {
    // The service says what is wrong with it.
    return {};
  }
}

/** Only our own names: whatever else stands there is the caller's text, and the log is kept for ever. */
const named = (names: readonly string[], name: unknown): string | undefined => names.find((known) => known === name);

function auditedOf(method: unknown, params: Readonly<Record<string, unknown>>): string | undefined {
  if (method === 'tools/call') return `tools/call/${named(mcpTools, params['name']) ?? 'unknown_tool'}`;
  if (method === 'prompts/get') return `prompts/get/${named(mcpPrompts, params['name']) ?? 'unknown_prompt'}`;
  // A URI names what was read: that is the service's to log.
  return method === 'resources/read' ? 'resources/read' : undefined;
}

/** From a message that may be anything at all: a few fields by name, however deep the rest goes. Rejects only where the body cannot be read; what the service would refuse as too long is not parsed here. */
export async function readMcpCall(req: Request, res: Response): Promise<McpCall> {
  const message = parse(await readBody(req, res, { limitBytes: MCP_MESSAGE_BYTES }));
  const params = fieldsOf(message['params']);
  const info = fieldsOf(fieldsOf(params['_meta'])[CLIENT_INFO] ?? params['clientInfo']);
  const client = typeof info['name'] === 'string' ? info['name'] : (req.get('user-agent') ?? '');
  return { client: client.replaceAll(/[^\x20-\x7E]/g, '').trim().slice(0, 100), audited: auditedOf(message['method'], params), ...(message['method'] === 'tools/call' && params['name'] === STOCK_TOOL && { stock: { sku: skuOf(params['arguments']) } }) };
}
