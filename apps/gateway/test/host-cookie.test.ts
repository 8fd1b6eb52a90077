import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createHttpApp, startHttpServer } from '@millrace/http';
import type { HttpServer } from '@millrace/http';
import { createLogger, createMetrics } from '@millrace/service';
import { Router } from 'express';
import { checkOrigin, clearHostCookie, readHostCookie, setHostCookie } from '../src/sessions/host-cookie.ts';

let server: HttpServer;
beforeAll(async () => {
  const router = Router();
  router.use(checkOrigin(['https://console.example']));
  router.post('/login', (_req, res) => { setHostCookie(res, 'login', { value: 'a.b-c_d', maxAgeSeconds: 60 }); res.end(); });
  router.post('/logout', (_req, res) => { clearHostCookie(res, 'login'); res.end(); });
  router.get('/me', (req, res) => { res.json({ login: readHostCookie(req, 'login') ?? null }); });
  server = await startHttpServer(createHttpApp({ logger: createLogger('test', 'silent'), metrics: createMetrics('test'), handlers: [router] }), { host: '127.0.0.1', port: 0 });
});
afterAll(() => server.close(0));
const call = (path: string, init: RequestInit = {}) => fetch(`http://127.0.0.1:${server.port}${path}`, init);
const fromPage = { method: 'POST', headers: { origin: 'https://console.example' } };

describe('cookies of the console', () => {
  it('are of this host alone: Secure, HttpOnly, SameSite=Lax, Path=/, no Domain, and end', async () => {
    const set = (await call('/login', fromPage)).headers.get('set-cookie') ?? '';
    expect(set).toMatch(/^__Host-login=a\.b-c_d; Max-Age=60; Path=\/; Expires=[^;]+; HttpOnly; Secure; SameSite=Lax$/);
    expect((await call('/logout', fromPage)).headers.get('set-cookie')).toMatch(/^__Host-login=; Path=\/; Expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly; Secure; SameSite=Lax$/);
  });
  it.each([['none', {}, null], ['one', { cookie: 'a=1; __Host-login=x.y; b=2' }, 'x.y'], ['an empty one', { cookie: '__Host-login=' }, null], ['one without the prefix', { cookie: 'login=x' }, null], ['two', { cookie: '__Host-login=x; __Host-login=y' }, null]])('are read where there is exactly one: %s', async (_what, headers, login) => {
    expect(await (await call('/me', { headers })).json()).toEqual({ login });
  });
  it.each([['another site', { origin: 'https://evil.example' }], ['nowhere', {}], ['a sandboxed page', { origin: 'null' }], ['a similar host', { origin: 'https://console.example.evil.example' }]])('are refused with a change that comes from %s', async (_what, headers) => {
    const answer = await call('/logout', { method: 'POST', headers });
    expect([answer.status, answer.headers.get('set-cookie'), await answer.json()]).toEqual([403, null, expect.objectContaining({ code: 'forbidden', pointer: '/origin' })]);
  });
});
