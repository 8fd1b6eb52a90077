import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { defineOperation } from '@millrace/contracts';
import { createHttpApp, startHttpServer } from '@millrace/http';
import type { HttpServer } from '@millrace/http';
import { AppError, createLogger, createMetrics } from '@millrace/service';
import { eventually } from '@millrace/testing';
import type { AuditEntry } from '../src/audit.repository.ts';
import { RECORDED_REFUSALS } from '../src/audited-refusals.ts';
import type { Policy } from '../src/policy.ts';
import { problemAnswer } from '../src/problem-answer.ts';
import { routeTable } from '../src/route-table.ts';

const CALLS = RECORDED_REFUSALS + 20;
const write = defineOperation({ operationId: 'write', method: 'post', path: '/api/things', service: 'svc', scope: 'products:write', audited: true, summary: '', responses: {} });
const unavailable = (): AppError => new AppError('unavailable', 'try again', { headers: { 'Retry-After': '1' } });

/** Fails as the caller asks, before or in the service. */
const failing: Policy = (_operation, answer) => async (call) => {
  const where = call.req.get('x-fail');
  if (where === 'thrown') throw unavailable();
  return where === 'answered' ? problemAnswer(unavailable(), call.requestId) : answer(call);
};
const audited: AuditEntry[] = [];
let server: HttpServer | undefined;
beforeAll(async () => {
  const logger = createLogger('test', 'silent');
  const upstream = { forward: async () => ({ status: 503, headers: {}, body: Buffer.from('{}') }), endFeeds: () => undefined, close: async () => undefined };
  const authenticate = async (key: string | undefined) => ({ id: `key_${key}`, kind: 'secret' as const, workspaceId: 'default', scopes: ['products:write'], isDevelopment: false });
  const routes = routeTable({ operations: [write], upstreams: { svc: upstream }, local: {}, policies: [failing], authenticate, logger, signer: { sign: async () => '' }, audit: async (entry) => void audited.push(entry) });
  server = await startHttpServer(createHttpApp({ logger, metrics: createMetrics('test'), handlers: [routes] }), { host: '127.0.0.1', port: 0 });
});
afterAll(() => server?.close(0));
beforeEach(() => void audited.splice(0));

const post = async (where: string): Promise<number> => {
  const answer = await fetch(`http://127.0.0.1:${server?.port ?? 0}/api/things`, { method: 'POST', headers: { 'x-api-key': where, 'x-fail': where } });
  await answer.arrayBuffer();
  return answer.status;
};

describe('calls of an audited operation that are answered 503', () => {
  it.each([
    { what: 'so many of a caller in a minute and no more where the service was not asked, as a failure', where: 'thrown', entries: RECORDED_REFUSALS },
    { what: 'so many of a caller in a minute and no more where the service was not asked, as an answer', where: 'answered', entries: RECORDED_REFUSALS },
    { what: 'all where the service says so: they may have had an effect', where: 'service', entries: CALLS },
  ])('are in the audit log $what', async ({ where, entries }) => {
    const statuses = await Promise.all(Array.from({ length: CALLS }, () => post(where)));
    expect(new Set(statuses)).toEqual(new Set([503]));
    // Entries are written in the order of the calls: a call of somebody else is behind all of them.
    await post(`after ${where}`);
    const own = (): number => audited.filter(({ keyId }) => keyId === `key_${where}`).length;
    await eventually(() => own() >= entries && audited.some(({ keyId }) => keyId === `key_after ${where}`));
    expect(own()).toBe(entries);
  });
});
