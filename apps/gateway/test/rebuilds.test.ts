import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { rebuildOperations, scopes } from '@millrace/contracts';
import type { Rebuild } from '@millrace/contracts';
import { createHttpApp, startHttpServer } from '@millrace/http';
import type { HttpServer } from '@millrace/http';
import { AppError, createLogger, createMetrics } from '@millrace/service';
import type { AuditEntry } from '../src/audit.repository.ts';
import type { ServiceClient } from '../src/ask-service.ts';
import { rebuildRoutes } from '../src/rebuilds.routes.ts';
import { routeTable } from '../src/route-table.ts';

const job = (store: 'search' | 'vectors', n: number, over: Partial<Rebuild> = {}): Rebuild => ({
  id: `${store}-${n}`, store, reason: 'manual', phase: 'filling', target: null, previous: null, rows: 0, total: null, rows_per_second: null, eta_seconds: null, attempts: 0,
  started_at: `2026-11-02T08:0${n}:00.000000Z`, updated_at: '2026-11-02T08:00:00.000000Z', finished_at: null, error: null, checks: [], kept_until: null, ...over,
});
const asked: { service: string; path: string; method?: string | undefined; body?: unknown }[] = [];
const audited: AuditEntry[] = [];
let isVectorsAway = false;
const services: ServiceClient = {
  ask: async (service, path, schema, { method, body }) => {
    asked.push({ service, path, method, body });
    if (service === 'embedding-worker' && isVectorsAway) throw new AppError('upstream_unavailable', 'embedding-worker cannot be reached now');
    const store = service === 'es-sync-worker' ? 'search' : 'vectors';
    if (path.startsWith('/internal/rebuilds?')) return schema.parse({ data: store === 'search' ? [job(store, 3), job(store, 1)] : [job(store, 2)] });
    if (path.includes('-9')) throw new AppError('not_found', 'the rebuild search-9 does not exist');
    if (method === 'POST' && path === '/internal/rebuilds' && store === 'vectors') throw new AppError('conflict', 'vectors-2 is running already: wait for it or cancel it');
    return schema.parse(job(store, 3));
  },
};
let gateway: HttpServer;
beforeAll(async () => {
  const logger = createLogger('test', 'silent');
  const routes = routeTable({
    operations: rebuildOperations, upstreams: {}, logger, signer: { sign: async () => '' }, audit: async (entry) => void audited.push(entry), local: rebuildRoutes(services),
    authenticate: async (key) => ({ id: `key_${key}`, scopes: key === 'ops' ? ['ops'] : scopes.filter((scope) => scope !== 'ops'), isDevelopment: false, workspaceId: 'default', kind: 'secret' as const }),
  });
  gateway = await startHttpServer(createHttpApp({ logger, metrics: createMetrics('test'), handlers: [routes] }), { host: '127.0.0.1', port: 0 });
});
afterAll(() => gateway.close(0));

async function call(method: string, path: string, { body, key = 'ops' }: { body?: unknown; key?: string } = {}) {
  asked.length = 0;
  const answer = await fetch(`http://127.0.0.1:${gateway.port}/api/admin/rebuilds${path}`, { method, headers: { 'x-api-key': key, ...(body !== undefined && { 'content-type': 'application/json' }) }, ...(body !== undefined && { body: JSON.stringify(body) }) });
  return { status: answer.status, body: (await answer.json()) as Record<string, unknown> };
}

describe('rebuilds at the gateway', () => {
  it('are listed of both stores together, the latest first, and a worker that is away hides nothing', async () => {
    const { body } = await call('GET', '');
    expect([(body['data'] as Rebuild[]).map(({ id }) => id), body['unavailable']]).toEqual([['search-3', 'vectors-2', 'search-1'], []]);
    isVectorsAway = true;
    expect((await call('GET', '?limit=5')).body).toMatchObject({ data: [{ id: 'search-3' }, { id: 'search-1' }], unavailable: ['vectors'] });
    expect(await call('GET', '/vectors-2')).toMatchObject({ status: 502, body: { code: 'upstream_unavailable' } });
    isVectorsAway = false;
  });
  it('go to the worker that the store or the id names, and what changes something is audited', async () => {
    audited.length = 0;
    expect(await call('POST', '', { body: { store: 'search', force: true } })).toMatchObject({ status: 202, body: { id: 'search-3' } });
    expect(asked).toEqual([{ service: 'es-sync-worker', path: '/internal/rebuilds', method: 'POST', body: { force: true } }]);
    expect((await call('POST', '/vectors-3/cancel')).status).toBe(202);
    expect(asked).toMatchObject([{ service: 'embedding-worker', path: '/internal/rebuilds/vectors-3/cancel', method: 'POST' }]);
    expect((await call('POST', '/search-3/rollback')).status).toBe(202);
    expect(audited.map(({ operation }) => operation)).toEqual(['startRebuild', 'cancelRebuild', 'rollbackRebuild']);
  });
  it("say with the worker's own words why not", async () => {
    expect(await call('POST', '', { body: { store: 'vectors' } })).toMatchObject({ status: 409, body: { code: 'conflict', detail: 'vectors-2 is running already: wait for it or cancel it' } });
    expect(await call('GET', '/search-9')).toMatchObject({ status: 404, body: { code: 'not_found' } });
  });
  it.each([
    ['POST', '', { store: 'cache' }, '/store'], ['POST', '', {}, '/store'], ['POST', '', { store: 'search', force: 'yes' }, '/force'], ['POST', '', { store: 'search', fast: true }, '/fast'],
    ['GET', '?limit=0', undefined, '/limit'], ['GET', '?store=cache', undefined, '/store'], ['GET', '/12', undefined, '/id'], ['POST', '/cache-1/rollback', undefined, '/id'],
  ])('refuse %s %s %j, and ask nobody', async (method, path, body, pointer) => {
    expect(await call(method, path, { body })).toMatchObject({ status: 400, body: { code: 'invalid_request', pointer } });
    expect(asked).toEqual([]);
  });
  it('need the scope ops', async () => {
    for (const [method, path] of [['GET', ''], ['POST', ''], ['POST', '/search-3/cancel'], ['POST', '/search-3/rollback']] as const) expect(await call(method, path, { key: 'other' })).toMatchObject({ status: 403 });
  });
});
