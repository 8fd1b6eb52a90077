import { createMillrace } from '@millrace/client';
import { productExample, scopes } from '@millrace/contracts';
import { Client, InMemoryTransport } from '@modelcontextprotocol/client';
import type { CallToolResult } from '@modelcontextprotocol/client';
import { createConfirmations, createMcpServer, createMemoryUsage } from '../src/index.ts';
import type { CalledTool, ServerDeps } from '../src/index.ts';

export interface Seen { readonly method: string; readonly path: string; readonly body: unknown; readonly headers: Headers }
export interface Reply { readonly status?: number; readonly body: unknown; readonly headers?: Readonly<Record<string, string>> }
export type Api = (seen: Seen) => Reply | undefined;

export const product = (over: Record<string, unknown> = {}): Record<string, unknown> => ({ ...productExample, ...over });
export const problem = (status: number, code: string, detail: string, headers: Readonly<Record<string, string>> = {}): Reply => ({ status, body: { type: `urn:millrace:problem:${code}`, title: code, status, code, detail }, headers: { ...headers, 'content-type': 'application/problem+json' } });

export interface Shop {
  readonly client: Client;
  readonly seen: Seen[];
  readonly called: CalledTool[];
  readonly bugs: unknown[];
  call(name: string, args?: Record<string, unknown>): Promise<CallToolResult & { readonly text: string; readonly data: Record<string, unknown> }>;
  close(): Promise<void>;
}

interface ShopOptions {
  readonly scopes?: readonly string[];
  readonly deps?: Partial<ServerDeps>;
  readonly isInteractive?: boolean;
  /** What the user says when they are asked; the client cannot ask without it. */
  readonly onAsked?: (message: string) => { readonly action: 'accept' | 'decline' | 'cancel'; readonly content?: Record<string, boolean> };
}

export const fieldsOf = (value: unknown): Record<string, unknown> => (typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : {});
const dataOf = ({ structuredContent }: CallToolResult): Record<string, unknown> => fieldsOf(fieldsOf(structuredContent)['data']);

/** The official client, and the server over an API that is a function. */
export async function openShop(api: Api, { scopes: own = scopes, deps = {}, isInteractive = false, onAsked }: ShopOptions = {}): Promise<Shop> {
  const seen: Seen[] = [];
  const [called, bugs]: [CalledTool[], unknown[]] = [[], []];
  const fetchApi = async (request: Request): Promise<Response> => {
    const url = new URL(request.url);
    const text = await request.text();
    const asked = { method: request.method, path: url.pathname + url.search, headers: request.headers, body: text === '' ? undefined : (JSON.parse(text) as unknown) };
    seen.push(asked);
    const { status = 200, body, headers = {} } = api(asked) ?? problem(404, 'not_found', 'there is nothing here');
    return new Response(JSON.stringify(body), { status, headers: { 'content-type': 'application/json', ...headers } });
  };
  const connection = { api: createMillrace({ baseUrl: 'http://shop', token: 't', fetch: fetchApi }), caller: { id: 'key_1', workspaceId: 'default', scopes: own } };
  const all: ServerDeps = { version: '1', confirmations: createConfirmations(), usage: createMemoryUsage(), localUsage: createMemoryUsage(), onCalled: (call) => void called.push(call), onBug: (error) => void bugs.push(error), onUncounted: (error) => void bugs.push(error), ...deps };
  const [here, there] = InMemoryTransport.createLinkedPair();
  const server = createMcpServer(all, connection, { isInteractive });
  const client = new Client({ name: 'test', version: '1' }, { capabilities: onAsked ? { elicitation: {} } : {} });
  if (onAsked) client.setRequestHandler('elicitation/create', ({ params }) => onAsked(params.message));
  await Promise.all([server.connect(there), client.connect(here)]);
  return {
    client, seen, called, bugs,
    async call(name, args = {}) {
      const result = await client.callTool({ name, arguments: args });
      const [content] = result.content;
      return { ...result, text: content?.type === 'text' ? content.text : '', data: dataOf(result) };
    },
    async close() {
      await client.close();
      await server.close();
    },
  };
}
