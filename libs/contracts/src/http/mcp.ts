import { z } from 'zod';
import { defineOperation } from '../operation.ts';

/** Longest message, bytes: the longest argument of a tool is far below. */
export const MCP_MESSAGE_BYTES = 262_144;

/** The protocol's own: the service judges it. */
const part = z.unknown().optional().meta({ type: 'object' });
const message = z.strictObject({ jsonrpc: z.literal('2.0'), id: z.union([z.string(), z.int()]).nullable().optional(), method: z.string().optional(), params: part, result: part, error: part }).meta({ id: 'McpMessage', description: 'One JSON-RPC message of the Model Context Protocol' });

const rpcError = z.strictObject({ jsonrpc: z.literal('2.0'), id: z.union([z.string(), z.int()]).nullable(), error: z.object({ code: z.int(), message: z.string(), data: z.unknown().optional() }) }).meta({ id: 'McpError', description: 'An error of JSON-RPC: the message was refused before it was served' });
/** The service refuses as JSON-RPC; the gateway, before it, as a problem. */
const refused = (description: string, code: number, sentence: string) => ({ description, schema: rpcError, example: { jsonrpc: '2.0', id: null, error: { code, message: sentence } } });

export const callMcp = defineOperation({
  operationId: 'callMcp', method: 'post', path: '/mcp', service: 'mcp', scope: 'products:read', audited: true, timeoutMs: 30_000, bodyBytes: MCP_MESSAGE_BYTES, summary: 'The MCP server: tools of the shop for an assistant',
  description: 'Streamable HTTP without sessions: one message, one answer as JSON. Clients of the Model Context Protocol speak it by themselves; what tools there are is what the scopes of the key allow. Each call of a tool calls this API in the name of the same key.',
  body: message, bodyExample: { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'search_products', arguments: { query: 'tai nghe' } } },
  responses: {
    200: { description: 'The answer, also where it is an error of the protocol or of a tool', schema: message, example: { jsonrpc: '2.0', id: 1, result: { content: [{ type: 'text', text: '{"source":"GET /api/search"}' }] } } },
    202: { description: 'A notification was taken' },
    400: refused('It is no message, a batch, nested too deep, or of an unknown revision of the protocol', -32_700, 'the body is not valid JSON'),
    403: refused('It comes from a page whose origin is not let in (MCP_ORIGINS); as a problem: the key lacks the scope', -32_000, 'calls of this page are not taken: its origin must stand in MCP_ORIGINS'),
    404: refused('There is no such method, for clients of the revision 2026-07-28; those before get it with 200', -32_601, 'Method not found'),
    406: refused('Accept must name application/json and text/event-stream', -32_000, 'Not Acceptable: Client must accept both application/json and text/event-stream'),
    413: refused('The message is too long; the gateway says it as a problem', -32_000, `a message has at most ${MCP_MESSAGE_BYTES} bytes`),
    415: refused('It is not application/json, or packed', -32_000, 'send the message as application/json'),
    500: refused('Something went wrong here', -32_603, 'something went wrong here'),
  },
});

const callerSchema = z.object({ id: z.string().meta({ description: 'Id of the key, or `user:<sub>`' }), kind: z.enum(['secret', 'user']), workspace_id: z.string(), scopes: z.array(z.string()) }).meta({ id: 'Caller' });
export type CallerBody = z.output<typeof callerSchema>;
export const getCaller = defineOperation({
  operationId: 'getCaller', method: 'get', path: '/api/me', service: 'gateway', scope: 'products:read', summary: 'Who calls, and what they may do',
  responses: { 200: { description: 'The key or token of this call', schema: callerSchema, example: { id: 'key_7b0c5a50-1d0c-4d55-9b3e-0d5c3f6c8a11', kind: 'secret', workspace_id: 'default', scopes: ['products:read', 'search:read'] } } },
});

export const mcpOperations = [callMcp, getCaller] as const;
