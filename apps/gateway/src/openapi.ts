import { apiVersion, isKeyed, problemSchema } from '@millrace/contracts';
import type { Operation } from '@millrace/contracts';
import { z } from 'zod';
import { createDocument } from 'zod-openapi';
import type { ZodOpenApiOperationObject, ZodOpenApiPathsObject } from 'zod-openapi';
import { cacheAnswerHeaders } from './cache/described-headers.ts';
import { cachedOperations } from './cache/cached-operations.ts';
import { limitHeaders, refusalHeaders } from './limits/described-headers.ts';

const isCached = ({ operationId }: Operation): boolean => cachedOperations.some(({ operation }) => operation.operationId === operationId);

const asObject = (schema: z.ZodType | undefined): z.ZodObject | undefined => (schema instanceof z.ZodObject ? schema : undefined);

const keyHeader = z.object({ 'idempotency-key': z.string().min(1).max(255).optional().meta({ description: 'For 24 h a repeated request with the same key answers what the first one answered' }) });

/** What the service reads, and what the gateway does. */
function headersOf(operation: Operation): z.ZodObject | undefined {
  const own = asObject(operation.headers);
  return isKeyed(operation) ? (own ?? z.object({})).extend(keyHeader.shape) : own;
}

const problemContent = { 'application/problem+json': { schema: problemSchema } } as const;

const statusClasses = [1, 2, 3, 4, 5] as const;
/** Throws for what is no status of HTTP. */
function statusClassOf(status: string): (typeof statusClasses)[number] {
  const found = statusClasses.find((one) => status.startsWith(String(one)));
  if (found === undefined) throw new Error(`${status} is no status`);
  return found;
}

function responsesOf(operation: Operation): ZodOpenApiOperationObject['responses'] {
  const responses: ZodOpenApiOperationObject['responses'] = {
    default: { description: 'A problem (RFC 9457)', headers: refusalHeaders, content: problemContent },
  };
  for (const [status, { description, schema, example, mediaType = 'application/json', otherMediaTypes = [] }] of Object.entries(operation.responses)) {
    const isRefusal = Number(status) >= 400;
    // Whatever a service says in its own words, the gateway before it says as a problem.
    const others = { ...Object.fromEntries(otherMediaTypes.map((type) => [type, { schema: z.string() }])), ...(isRefusal && problemContent) };
    const headers = isRefusal ? refusalHeaders : isCached(operation) ? limitHeaders.extend(cacheAnswerHeaders.shape) : limitHeaders;
    responses[`${statusClassOf(status)}${status.slice(1)}`] = { description, headers, ...(schema && { content: { [mediaType]: { schema, ...(example !== undefined && { example }) }, ...others } }) };
  }
  return responses;
}

function toOpenApi(operation: Operation): ZodOpenApiOperationObject {
  const path = asObject(operation.params);
  const query = asObject(operation.query);
  const header = headersOf(operation);
  const json = operation.body && { 'application/json': { schema: operation.body, ...(operation.bodyExample !== undefined && { example: operation.bodyExample }) } };
  const streamed = operation.streams && Object.fromEntries(operation.streams.map((type) => [type, { schema: (type === 'application/json' ? z.unknown() : z.string()).meta({ description: 'Streamed; gzip is recognised' }) }]));
  return {
    operationId: operation.operationId,
    summary: operation.summary,
    ...(operation.description !== undefined && { description: operation.description }),
    tags: [operation.path.split('/').find((part) => part !== '' && part !== 'api') ?? 'api'],
    security: operation.isSigned === true ? [] : [{ apiKey: [] }, { token: [] }, ...(operation.isPublishable === true ? [{ publishableKey: [] }] : [])],
    'x-scope': operation.scope,
    requestParams: { ...(path && { path }), ...(query && { query }), ...(header && { header }) },
    ...((json ?? streamed) && { requestBody: { required: true, content: { ...json, ...streamed } } }),
    responses: responsesOf(operation),
  };
}

/** OpenAPI 3.1 of the public API, generated from the contracts that the services parse with. */
export function createOpenApi(operations: readonly Operation[]): ReturnType<typeof createDocument> {
  const paths: ZodOpenApiPathsObject = {};
  for (const operation of operations) paths[operation.path] = { ...paths[operation.path], [operation.method]: toOpenApi(operation) };
  return createDocument({
    openapi: '3.1.0',
    info: { title: 'Millrace', version: apiVersion, description: 'Real-time data plane for commerce and telecom: catalogue, search and similarity.', license: { name: 'Apache-2.0', identifier: 'Apache-2.0' } },
    externalDocs: { url: '/asyncapi.json', description: 'Events on the bus (AsyncAPI 3.0)' },
    servers: [{ url: '/' }],
    paths,
    components: { securitySchemes: { apiKey: { type: 'apiKey', in: 'header', name: 'X-Api-Key' }, token: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT', description: 'Of the identity provider, where JWT_ISSUER is set; its roles stand for scopes. Not together with a key' }, publishableKey: { type: 'apiKey', in: 'query', name: 'key', description: 'mr_pub_…, for pages of its origins; the body may be text/plain' } } },
  });
}
