import { createServer } from 'node:http';
import type { RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from '@jest/globals';
import { AppError } from '@millrace/service';
import { z } from 'zod';
import { createServiceClient } from '../src/ask-service.ts';

const closing: (() => void)[] = [];
afterEach(() => {
  for (const close of closing.splice(0)) close();
});

async function clientOf(listener: RequestListener) {
  const server = createServer(listener);
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  closing.push(() => server.closeAllConnections(), () => void server.close());
  const { port } = server.address() as AddressInfo;
  const url = `http://127.0.0.1:${port}`;
  return createServiceClient({ signer: { sign: async (audience, { subject, scopes }) => `${audience} ${subject} ${scopes.join('+')}` }, addresses: { 'catalog-api': url, 'es-sync-worker': url, 'embedding-worker': url } });
}
const caller = { subject: 'key_1', scopes: ['ops'] };
const codeOf = (work: Promise<unknown>): Promise<unknown> => work.then(() => 'answered', (error: unknown) => (error instanceof AppError ? [error.code, error.message] : error));

describe('asking a service on its second port', () => {
  it("signs the caller's own name and scopes for that service and parses the answer", async () => {
    const { ask } = await clientOf((req, res) => res.end(JSON.stringify({ token: req.headers.authorization, path: req.url })));
    expect(await ask('catalog-api', '/internal/x?a=1', z.object({ token: z.string(), path: z.string() }), { caller })).toEqual({ token: 'Bearer catalog-api key_1 ops', path: '/internal/x?a=1' });
  });

  it("passes a refusal on with the service's own code, sentence and pointers", async () => {
    const problem = { type: 'x', title: 'Conflict', status: 409, code: 'conflict', detail: 'a rebuild is running', errors: [{ in: 'body', pointer: '/store', detail: 'is busy' }] };
    const { ask } = await clientOf((_req, res) => res.writeHead(409).end(JSON.stringify(problem)));
    const refused = await ask('es-sync-worker', '/internal/x', z.unknown(), { caller, method: 'POST', body: {} }).catch((error: unknown) => error);
    expect(refused).toMatchObject({ code: 'conflict', message: 'a rebuild is running', details: problem.errors });
  });

  it('names the service that is away, failed, or too slow', async () => {
    const broken = await clientOf((_req, res) => res.writeHead(500).end('{}'));
    expect(await codeOf(broken.ask('catalog-api', '/', z.unknown(), { caller }))).toEqual(['upstream_unavailable', 'catalog-api answered 500']);
    const slow = await clientOf(() => undefined);
    expect(await codeOf(slow.ask('catalog-api', '/', z.unknown(), { caller, timeoutMs: 50 }))).toEqual(['upstream_timeout', 'catalog-api did not answer within 0.05 s']);
    const closed = await clientOf((req) => req.socket.destroy());
    expect(await codeOf(closed.ask('embedding-worker', '/', z.unknown(), { caller }))).toEqual(['upstream_unavailable', 'embedding-worker cannot be reached now']);
  });

  it("reports as the service's what is no answer to us: another version's form, a refusal of our own identity", async () => {
    const older = await clientOf((_req, res) => res.end(JSON.stringify({ phase: 7 })));
    expect(await codeOf(older.ask('es-sync-worker', '/', z.object({ phase: z.string() }), { caller }))).toEqual(['upstream_unavailable', 'es-sync-worker answered in a form that this gateway does not know: is it of another version?']);
    const stranger = await clientOf((_req, res) => res.writeHead(401).end(JSON.stringify({ type: 'x', title: 'Not authenticated', status: 401, code: 'unauthenticated', detail: 'the token is not valid' })));
    expect(await codeOf(stranger.ask('es-sync-worker', '/', z.unknown(), { caller }))).toEqual(['upstream_unavailable', 'es-sync-worker answered 401']);
  });
});
