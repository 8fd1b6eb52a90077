import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { driftOperations, scopes } from '@millrace/contracts';
import type { VerificationBody } from '@millrace/contracts';
import { createHttpApp, startHttpServer } from '@millrace/http';
import type { HttpServer } from '@millrace/http';
import { AppError, createLogger, createMetrics } from '@millrace/service';
import type { AuditEntry } from '../src/audit.repository.ts';
import type { ServiceClient } from '../src/ask-service.ts';
import { driftRoutes } from '../src/drift.routes.ts';
import { routeTable } from '../src/route-table.ts';

const verification: VerificationBody = {
  target: 'search-2', started_at: '2026-11-21T08:00:00.000Z', finished_at: '2026-11-21T08:00:01.200Z', products: 2, stored: 2, missing: 0, behind: 0, ghosts: 0, ahead: 0, in_flight: 0, repaired: 0, remaining: 0, examples: [],
};
const asked: unknown[] = [];
const audited: AuditEntry[] = [];
const services: ServiceClient = {
  ask: async (service, path, schema, { caller, method, body }) => {
    asked.push({ service, path, method, body, caller });
    if (service === 'embedding-worker') throw new AppError('upstream_unavailable', 'embedding-worker cannot be reached now');
    return schema.parse({ verification });
  },
};
let gateway: HttpServer;
beforeAll(async () => {
  const logger = createLogger('test', 'silent');
  const routes = routeTable({
    operations: driftOperations, upstreams: {}, logger, signer: { sign: async () => '' }, audit: async (entry) => void audited.push(entry), local: driftRoutes(services),
    authenticate: async (key) => ({ id: `key_${key}`, scopes: key === 'ops' ? ['ops'] : scopes.filter((scope) => scope !== 'ops'), isDevelopment: false, workspaceId: 'default', kind: 'secret' as const }),
  });
  gateway = await startHttpServer(createHttpApp({ logger, metrics: createMetrics('test'), handlers: [routes] }), { host: '127.0.0.1', port: 0 });
});
afterAll(() => gateway.close(0));

async function call(method: string, path: string, { body, key = 'ops' }: { body?: unknown; key?: string } = {}) {
  asked.length = 0;
  const answer = await fetch(`http://127.0.0.1:${gateway.port}/api/admin${path}`, { method, headers: { 'x-api-key': key, ...(body !== undefined && { 'content-type': 'application/json' }) }, ...(body !== undefined && { body: JSON.stringify(body) }) });
  return { status: answer.status, body: (await answer.json()) as Record<string, unknown> };
}

describe('drift at the gateway', () => {
  it('is gathered from the services that keep the stores, and one that is away hides nothing', async () => {
    expect(await call('GET', '/drift')).toEqual({ status: 200, body: { stores: [{ store: 'search', verification, error: null }, { store: 'vectors', verification: null, error: 'embedding-worker cannot be reached now' }] } });
  });
  it("verifies the stores that are named, under the caller's own scopes, and is audited", async () => {
    expect(await call('POST', '/verify', { body: { stores: ['search', 'search'], repair: true } })).toMatchObject({ status: 200, body: { stores: [{ store: 'search' }] } });
    expect(asked).toEqual([{ service: 'es-sync-worker', path: '/internal/verify', method: 'POST', body: { repair: true }, caller: expect.objectContaining({ subject: 'key_ops', scopes: ['ops'] }) }]);
    expect(audited.at(-1)).toMatchObject({ operation: 'verifyStores', keyId: 'key_ops' });
  });
  it.each([[{ stores: ['cache'] }, '/stores/0'], [{ stores: [] }, '/stores'], [{ repair: 'yes' }, '/repair'], [{ fix: true }, '/fix']])('refuses %j, and asks nobody', async (body, pointer) => {
    expect(await call('POST', '/verify', { body })).toMatchObject({ status: 400, body: { code: 'invalid_request', pointer } });
    expect(asked).toEqual([]);
  });
  it('needs the scope ops', async () => {
    expect(await call('GET', '/drift', { key: 'other' })).toMatchObject({ status: 403, body: { code: 'forbidden' } });
  });
});
