import { createMillrace } from '@millrace/client';
import { createMcpServer } from '@millrace/mcp-tools';
import type { ServerDeps } from '@millrace/mcp-tools';
import { WebStandardStreamableHTTPServerTransport, createMcpHandler, isLegacyRequest } from '@modelcontextprotocol/server';
import type { McpServer } from '@modelcontextprotocol/server';
import type { McpCaller } from './caller.ts';
import { createGatewayFetch } from './gateway-fetch.ts';
import type { RpcMessage } from './message.ts';

export interface ServeDeps {
  readonly deps: ServerDeps;
  readonly gatewayUrl: string;
  readonly onError: (error: Error) => void;
}

export interface Served {
  readonly message: RpcMessage;
  readonly caller: McpCaller;
  /** Passed on with each call of the API, so that one request has one id everywhere. */
  readonly trace: Readonly<Record<string, string>>;
}

export interface MessageServer {
  /** The answer of one message, whole. */
  serve(request: Request, served: Served): Promise<Response>;
  close(): Promise<void>;
}

/** Longest wait for one answer of the gateway; the call of a tool has its own deadline. */
const ANSWER_MS = 15_000;

/**
 * Serves each message by a server of its own: nothing is kept between two, so that any instance answers any of them. Both kinds of clients: those of the
 * revision 2026-07-28, which say in each message who they are, and those before, which shake hands first (and are answered without a session).
 */
export function createMessageServer({ deps, gatewayUrl, onError }: ServeDeps): MessageServer {
  const gateway = createGatewayFetch(gatewayUrl);
  const waiting = new WeakMap<Request, Served>();
  const open = (request: Request | undefined): McpServer => {
    const served = request && waiting.get(request);
    if (!served) throw new Error('a message without its caller');
    const { caller: { caller, token }, trace, message: { method } } = served;
    const api = createMillrace({ baseUrl: gatewayUrl, token, fetch: (asked) => gateway.fetch(asked, trace), timeoutMs: ANSWER_MS });
    return createMcpServer(deps, { caller, api, requestId: trace['x-request-id'] }, { isForTools: typeof method === 'string' && method.startsWith('tools/') });
  };
  const modern = createMcpHandler(({ requestInfo }) => open(requestInfo), { legacy: 'reject', onerror: onError });
  const serveLegacy = async (request: Request, message: RpcMessage): Promise<Response> => {
    const server = open(request);
    const transport = new WebStandardStreamableHTTPServerTransport({ enableJsonResponse: true });
    await server.connect(transport);
    // Ends what it does for a caller who has gone. After an answer there is nothing to end.
    request.signal.addEventListener('abort', () => void server.close().catch(onError), { once: true });
    return await transport.handleRequest(request, { parsedBody: message });
  };
  return {
    async serve(request, served) {
      waiting.set(request, served);
      if (await isLegacyRequest(request, served.message)) return await serveLegacy(request, served.message);
      return await modern.fetch(request, { parsedBody: served.message });
    },
    close: async () => void (await Promise.all([modern.close(), gateway.close()])),
  };
}
