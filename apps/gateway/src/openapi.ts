import { problemSchema } from '@millrace/contracts';
import type { Operation } from '@millrace/contracts';
import { z } from 'zod';
import { createDocument } from 'zod-openapi';
import type { ZodOpenApiOperationObject, ZodOpenApiPathsObject } from 'zod-openapi';

const asObject = (schema: z.ZodType | undefined): z.ZodObject | undefined => (schema instanceof z.ZodObject ? schema : undefined);

function responsesOf(operation: Operation): ZodOpenApiOperationObject['responses'] {
  const responses: ZodOpenApiOperationObject['responses'] = {
    default: { description: 'A problem (RFC 9457)', content: { 'application/problem+json': { schema: problemSchema } } },
  };
  for (const [status, { description, schema, example, mediaType = 'application/json' }] of Object.entries(operation.responses)) {
    const key: `${1 | 2 | 3 | 4 | 5}${string}` = `${status.startsWith('3') ? 3 : 2}${status.slice(1)}`;
    responses[key] = schema ? { description, content: { [mediaType]: { schema, ...(example !== undefined && { example }) } } } : { description };
  }
  return responses;
}

function toOpenApi(operation: Operation): ZodOpenApiOperationObject {
  const path = asObject(operation.params);
  const query = asObject(operation.query);
  const header = asObject(operation.headers);
  const json = operation.body && { 'application/json': { schema: operation.body, ...(operation.bodyExample !== undefined && { example: operation.bodyExample }) } };
  const streamed = operation.streams && Object.fromEntries(operation.streams.map((type) => [type, { schema: z.string().meta({ description: 'Streamed; gzip is recognised' }) }]));
  return {
    operationId: operation.operationId,
    summary: operation.summary,
    ...(operation.description !== undefined && { description: operation.description }),
    tags: [operation.path.split('/').find((part) => part !== '' && part !== 'api') ?? 'api'],
    security: [{ apiKey: [] }, ...(operation.isPublishable === true ? [{ publishableKey: [] }] : [])],
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
    info: { title: 'Millrace', version: '0.1.0', description: 'Real-time data plane for commerce and telecom: catalogue, search and similarity.', license: { name: 'Apache-2.0', identifier: 'Apache-2.0' } },
    externalDocs: { url: '/asyncapi.json', description: 'Events on the bus (AsyncAPI 3.0)' },
    servers: [{ url: '/' }],
    paths,
    components: { securitySchemes: { apiKey: { type: 'apiKey', in: 'header', name: 'X-Api-Key' }, publishableKey: { type: 'apiKey', in: 'query', name: 'key', description: 'mr_pub_…, for pages of its origins; the body may be text/plain' } } },
  });
}
