import { MCP_MESSAGE_BYTES } from '@millrace/contracts';
import { requestIdOf, traceparentOf } from '@millrace/http';
import { AppError } from '@millrace/service';
import type { IdentityVerifier, Logger } from '@millrace/service';
import { isJsonContentType } from '@modelcontextprotocol/server';
import express, { Router } from 'express';
import type { ErrorRequestHandler, Request as ExpressRequest, Response as ExpressResponse } from 'express';
import { callerOf } from './caller.ts';
import { INTERNAL_ERROR, SERVER_ERROR, idOf, readMessage } from './message.ts';
import type { RpcError } from './message.ts';
import type { MessageServer } from './serve-message.ts';

export interface McpRoutesDeps {
  readonly messages: MessageServer;
  /** Verifies tokens whose audience is the gateway. */
  readonly gatewayTokens: IdentityVerifier;
  readonly origins: readonly string[];
  readonly logger: Logger;
}

/** Of the protocol: the rest is HTTP's. */
const HEADERS = ['accept', 'content-type', 'mcp-protocol-version', 'mcp-method', 'mcp-name'] as const;

function answerError(res: ExpressResponse, { status, code, message, id = null }: RpcError): void {
  res.status(status).json({ jsonrpc: '2.0', error: { code, message }, id });
}

/** Browsers say from where they call: another page than a known one is refused (DNS rebinding, forged requests). Programs send no Origin. */
const isForeign = (origin: string | undefined, known: readonly string[]): boolean => origin !== undefined && origin !== '' && !known.includes(origin);

function headersOf(req: ExpressRequest): Headers {
  const headers = new Headers();
  for (const name of HEADERS) {
    const value = req.get(name);
    if (value !== undefined) headers.set(name, value);
  }
  return headers;
}

function traceOf(req: ExpressRequest): Readonly<Record<string, string>> {
  const [requestId, traceparent] = [requestIdOf(req), traceparentOf(req)];
  return { ...(requestId !== undefined && { 'x-request-id': requestId }), ...(traceparent !== undefined && { traceparent }) };
}

/** Ends with the caller. */
function signalOf(res: ExpressResponse): AbortSignal {
  const gone = new AbortController();
  res.once('close', () => {
    if (!res.writableFinished) gone.abort();
  });
  return gone.signal;
}

/** What express' own reader refuses, as JSON-RPC. */
const refusedBody: ErrorRequestHandler = (error: unknown, _req, res, next) => {
  const type: unknown = typeof error === 'object' && error !== null && 'type' in error ? error.type : undefined;
  if (type === 'entity.too.large') answerError(res, { status: 413, code: SERVER_ERROR, message: `a message has at most ${MCP_MESSAGE_BYTES} bytes` });
  else if (type === 'encoding.unsupported') answerError(res, { status: 415, code: SERVER_ERROR, message: 'send the message without Content-Encoding' });
  else next(error);
};

/** `POST /mcp`: one message, one answer, no session. Everything else there is 405, as the protocol has it for servers without sessions. */
export function mcpRoutes({ messages, gatewayTokens, origins, logger }: McpRoutesDeps): Router {
  const router = Router();
  const serve = async (req: ExpressRequest, res: ExpressResponse): Promise<void> => {
    if (!isJsonContentType(req.get('content-type') ?? null)) return answerError(res, { status: 415, code: SERVER_ERROR, message: 'send the message as application/json' });
    const body: unknown = req.body;
    const read = readMessage(Buffer.isBuffer(body) ? body : Buffer.alloc(0));
    if (read.error) return answerError(res, read.error);
    const caller = await callerOf(req, gatewayTokens);
    const request = new Request('http://mcp/mcp', { method: 'POST', headers: headersOf(req), signal: signalOf(res) });
    const answer = await messages.serve(request, { message: read.message, caller, trace: traceOf(req) }).catch((error: unknown) => {
      if (!res.destroyed) logger.error({ err: error, requestId: requestIdOf(req) }, 'a message failed');
      return Response.json({ jsonrpc: '2.0', error: { code: INTERNAL_ERROR, message: 'something went wrong here' }, id: idOf(read.message) }, { status: 500 });
    });
    const text = await answer.text();
    res.status(answer.status);
    if (text === '') res.end();
    else res.type(answer.headers.get('content-type') ?? 'application/json').send(text);
  };
  router.use('/mcp', (req, res, next) => {
    if (!isForeign(req.get('origin'), origins)) next();
    else answerError(res, { status: 403, code: SERVER_ERROR, message: 'calls of this page are not taken: its origin must stand in MCP_ORIGINS' });
  });
  router.post('/mcp', express.raw({ type: () => true, limit: MCP_MESSAGE_BYTES, inflate: false }), serve, refusedBody);
  router.all('/mcp', () => {
    throw new AppError('method_not_allowed', 'there are no sessions and no streams here: use POST', { headers: { Allow: 'POST' } });
  });
  return router;
}
