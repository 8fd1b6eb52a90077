import { once } from 'node:events';
import { connect } from 'node:net';
import { describe, expect, it } from '@jest/globals';
import { authenticate, createHttpApp, startHttpServer } from '@millrace/http';
import { createLogger, createMetrics } from '@millrace/service';
import { eventually } from '@millrace/testing';
import { z } from 'zod';
import { lookupRoutes } from '../src/lookup.routes.ts';

const COUNT = 10_000;
const isdns = Array.from({ length: COUNT }, (_none, at) => `token-${10_000 + at}`);
const pointer = { recommendations: 1, profiles: 1, arpu: 1, redis: 1, version: 1, switched_at: '', loaded_at: { recommendations: null, profiles: null, arpu: null }, last_month: null };
const body = `"recommendation":null,"profile":{"text":"${'x'.repeat(4_000)}"}}`;

async function serve(stallMs: number, onClosed?: () => void): Promise<{ readonly port: number; readonly close: () => Promise<void> }> {
  const routes = lookupRoutes({ stallMs, piiReads: { allow: async () => undefined }, reader: { find: async (wanted) => ({ pointer, found: wanted.map(() => ({ body, months: null, source: 'redis' as const })) }) } });
  const verifier = { verify: async () => ({ issuer: 'gateway', subject: 'key_1', scopes: ['ut360:read'] }) };
  return await startHttpServer(createHttpApp({ logger: createLogger('test', 'silent'), metrics: createMetrics('test'), handlers: [(_req, res, next) => {
    res.once('close', () => onClosed?.());
    next();
  }, authenticate(verifier, ['gateway']), routes] }), { host: '127.0.0.1', port: 0 });
}
const headers = { authorization: 'Bearer t', 'content-type': 'application/json' };

describe('a stream of many subscribers', () => {
  it('comes whole to a reader who takes it in small parts', async () => {
    const warnings: Error[] = [];
    const listen = (warning: Error): void => void (warning.name === 'MaxListenersExceededWarning' && warnings.push(warning));
    process.on('warning', listen);
    const server = await serve(30_000);
    const answer = await fetch(`http://127.0.0.1:${server.port}/api/ut360/lookup`, { method: 'POST', headers, body: JSON.stringify({ isdns }) });
    const lines = (await answer.text()).trimEnd().split('\n');
    expect([answer.status, lines.length]).toEqual([200, COUNT + 1]);
    expect(z.object({ index: z.number() }).parse(JSON.parse(lines[COUNT - 1] ?? ''))).toEqual({ index: COUNT - 1 });
    expect(JSON.parse(lines[COUNT] ?? '')).toMatchObject({ missing: [], invalid: [] });
    process.off('warning', listen);
    expect(warnings).toEqual([]);
    await server.close();
  });

  it('breaks off for a reader who takes nothing any more', async () => {
    let isOver = false;
    const server = await serve(100, () => { isOver = true; });
    const text = JSON.stringify({ isdns });
    const socket = connect(server.port, '127.0.0.1').on('error', () => undefined);
    socket.write(`POST /api/ut360/lookup HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer t\r\nContent-Type: application/json\r\nContent-Length: ${text.length}\r\n\r\n${text}`);
    await once(socket, 'readable');
    await eventually(() => isOver);
    let last = '';
    socket.on('data', (data) => { last = `${last}${data.toString()}`.slice(-200); });
    await once(socket, 'close');
    expect(last).not.toContain('freshness');
    await server.close();
  });
});
