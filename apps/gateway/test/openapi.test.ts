import { describe, expect, it } from '@jest/globals';
import { operations } from '@millrace/contracts';
import { z } from 'zod';
import { createOpenApi } from '../src/openapi.ts';

const document = z.object({ openapi: z.string(), paths: z.record(z.string(), z.record(z.string(), z.looseObject({ operationId: z.string() }))), components: z.looseObject({}) }).parse(JSON.parse(JSON.stringify(createOpenApi(operations))));
const served = Object.entries(document.paths).flatMap(([path, methods]) => Object.entries(methods).map(([method, operation]) => ({ path, method, operation, id: operation.operationId })));

describe('the OpenAPI document', () => {
  it('is 3.1 and has every operation of the route table, once', () => {
    expect(document.openapi).toBe('3.1.0');
    expect(served.map(({ id }) => id).toSorted()).toEqual(operations.map((operation) => operation.operationId).toSorted());
  });
  it('declares the headers of limits on every answer, refusals too, and those of the cache where answers are cached', () => {
    const answers = z.record(z.string(), z.looseObject({ headers: z.record(z.string(), z.strictObject({ $ref: z.string() })) }));
    for (const { operation } of served)
      for (const [status, { headers }] of Object.entries(answers.parse(operation['responses'])))
        expect(Object.keys(headers)).toEqual(expect.arrayContaining(['RateLimit', 'RateLimit-Policy', ...(status === 'default' ? ['Retry-After'] : [])]));
    const product = served.find(({ id }) => id === 'getProduct')?.operation['responses'];
    expect(answers.parse(product)['200']?.headers).toMatchObject({ 'Cache-Status': { $ref: '#/components/headers/Cache-Status' }, Age: {}, ETag: {} });
    expect(Object.keys(z.record(z.string(), z.unknown()).parse(document.components['headers'])).toSorted()).toEqual(['Age', 'Cache-Status', 'ETag', 'RateLimit', 'RateLimit-Policy', 'Retry-After']);
  });
  it('has refusals of a service in its own words and those of the gateway, side by side', () => {
    const answers = z.record(z.string(), z.looseObject({ content: z.record(z.string(), z.unknown()).optional() })).parse(served.find(({ id }) => id === 'callMcp')?.operation['responses']);
    const refusals = Object.entries(answers).filter(([status]) => Number(status) >= 400);
    expect(refusals.map(([status]) => status)).toEqual(['400', '403', '404', '406', '413', '415', '500']);
    for (const [, { content }] of refusals) expect(Object.keys(content ?? {})).toEqual(['application/json', 'application/problem+json']);
  });
  it.each(served.map((entry) => [entry.id, entry] as const))('has an example of what %s takes and answers', (_id, { operation }) => {
    const text = JSON.stringify(operation);
    const needsBody = text.includes('"requestBody"') && text.includes('application/json');
    expect(needsBody && !/"requestBody":\{.*"example"/.test(text)).toBe(false);
    const withContent = /"20\d":\{"description":"[^"]*","content"/.test(text);
    expect(withContent && !/"20\d":\{.*"example"/.test(text)).toBe(false);
  });
  it.each(operations.map((operation) => [operation.operationId, operation] as const))('gives %s examples that its own schemas accept', (_id, operation) => {
    const examples = [...Object.values(operation.responses).map(({ schema, example }) => schema?.safeParse(example)), operation.body?.safeParse(operation.bodyExample)];
    expect(examples.filter((parsed) => parsed !== undefined && !parsed.success)).toEqual([]);
  });
});
