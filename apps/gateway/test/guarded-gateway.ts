import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { afterAll, beforeAll, beforeEach } from '@jest/globals';
import { operations } from '@millrace/contracts';
import type { Operation, Scope } from '@millrace/contracts';
import { createHttpApp, ok, startHttpServer } from '@millrace/http';
import { createApiKey, createLogger, createMetrics, createPublishableKey, hashApiKey } from '@millrace/service';
import { createLocalJWKSet } from 'jose';
import type { JSONWebKeySet } from 'jose';
import { z } from 'zod';
import type { AuditEntry } from '../src/audit.repository.ts';
import { createAuthenticateKey } from '../src/authenticate-key.ts';
import { browserCors, createKnownOrigins, publishablePaths } from '../src/browser-cors.ts';
import type { KeyOwner } from '../src/key.repository.ts';
import { createAuthenticateToken } from '../src/keys/authenticate-token.ts';
import { localRoute } from '../src/local-route.ts';
import { createUpstream } from '../src/proxy.ts';
import { routeTable } from '../src/route-table.ts';
import { security } from '../src/security.ts';

export const ISSUER = 'https://login.example';
export const AUDIENCE = 'millrace';
export const ORIGIN = 'https://shop.example';

/** What came through to a service. */
export interface Reached { readonly method: string; readonly url: string; readonly headers: IncomingMessage['headers']; readonly body: string }

/** The gateway's own door over every public operation: real keys and tokens in memory; services and local operations only say that they were reached. */
export interface GuardedGateway {
  readonly port: number;
  /** Requests at services, and ids of operations that the gateway answers itself. */
  readonly reached: Reached[];
  readonly answeredHere: string[];
  readonly logged: string[];
  readonly audited: AuditEntry[];
  readonly metrics: () => Promise<string>;
  /** A new key; by default with every scope. */
  key(over?: Partial<KeyOwner>): string;
  publishableKey(): string;
  /** Sends bytes as they are and resolves with all that comes back, when the other side closes or `until` is in it. */
  raw(bytes: string | Buffer, until?: string): Promise<{ readonly text: string; readonly isClosed: boolean }>;
  close(): Promise<void>;
}

const allScopes = (): Scope[] => [...new Set(operations.map(({ scope }) => scope))];
const portOf = (address: ReturnType<ReturnType<typeof createServer>['address']>): number => (typeof address === 'object' && address ? address.port : 0);

async function startService(reached: Reached[]): Promise<{ url: string; close(): void }> {
  const service = createServer((req, res) => {
    const chunks: Buffer[] = [];
    req.on('data', (chunk: Buffer) => void chunks.push(chunk));
    req.on('end', () => {
      reached.push({ method: req.method ?? '', url: req.url ?? '', headers: req.headers, body: Buffer.concat(chunks).toString('utf8') });
      res.writeHead(200, { 'content-type': 'application/json' }).end('{}');
    });
  }).listen(0, '127.0.0.1');
  await once(service, 'listening');
  const close = (): void => {
    service.closeAllConnections();
    service.close();
  };
  return { url: `http://127.0.0.1:${portOf(service.address())}`, close };
}

/** Node's own parser is what is tested: nothing here may mend what is sent. */
const sendRaw = (port: number) => (bytes: string | Buffer, until?: string): Promise<{ text: string; isClosed: boolean }> =>
  new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => void socket.write(bytes));
    let text = '';
    socket.setEncoding('latin1');
    socket.on('data', (chunk: string) => {
      text += chunk;
      if (until !== undefined && text.includes(until)) {
        resolve({ text, isClosed: false });
        socket.destroy();
      }
    });
    socket.on('error', (error: NodeJS.ErrnoException) => (error.code === 'ECONNRESET' || error.code === 'EPIPE' ? resolve({ text, isClosed: true }) : reject(error)));
    socket.on('close', () => resolve({ text, isClosed: true }));
  });

export async function startGuardedGateway({ jwks = { keys: [] }, isProduction = true }: { readonly jwks?: JSONWebKeySet; readonly isProduction?: boolean } = {}): Promise<GuardedGateway> {
  const [reached, answeredHere, logged, audited]: [Reached[], string[], string[], AuditEntry[]] = [[], [], [], []];
  const service = await startService(reached);
  const names = [...new Set(operations.map((operation) => operation.service))].filter((name) => name !== 'gateway');
  const upstreams = Object.fromEntries(names.map((name) => [name, createUpstream(name, service.url)]));
  const own = ({ operationId, method, path, scope }: Operation) => localRoute({ operationId, method, path, scope, query: z.looseObject({}) }, async () => {
    answeredHere.push(operationId);
    return ok({});
  });
  const owners = new Map<string, KeyOwner>();
  const logger = createLogger('test', 'debug', { write: (line: string) => void logged.push(line) });
  const metrics = createMetrics('test');
  const routes = routeTable({
    operations, upstreams, logger, local: Object.assign({}, ...operations.filter((operation) => operation.service === 'gateway').map(own)), audit: async (entry) => void audited.push(entry),
    delegate: async ({ id }) => `delegated:${id}`,
    signer: { sign: async (audience, { subject, scopes }) => `${audience}:${subject}:${scopes.join('+')}` },
    authenticate: createAuthenticateKey({ isProduction, findKeyOwner: async (hash) => owners.get(hash) }),
    authenticateToken: createAuthenticateToken({ keyOf: createLocalJWKSet(jwks), issuer: ISSUER, audience: AUDIENCE, claims: { roles: 'roles', workspace: 'workspace_id' } }),
  });
  const pages = browserCors(publishablePaths(operations), createKnownOrigins(async () => new Set([ORIGIN]), logger));
  const server = await startHttpServer(createHttpApp({ logger, metrics, handlers: [pages, ...security([]), routes] }), { host: '127.0.0.1', port: 0, requestTimeoutMs: 3_600_000 });
  const register = (key: string, over: Partial<KeyOwner>): string => {
    owners.set(hashApiKey(key), { id: `key_${owners.size}`, kind: 'secret', workspaceId: 'default', scopes: allScopes(), isDevelopment: false, ...over });
    return key;
  };
  return {
    port: server.port, reached, answeredHere, logged, audited,
    metrics: () => metrics.metrics(),
    key: (over = {}) => register(createApiKey(), over),
    publishableKey: () => register(createPublishableKey(), { kind: 'publishable', scopes: ['events:write'], origins: [ORIGIN] }),
    raw: sendRaw(server.port),
    async close() {
      await server.close(0);
      await Promise.all(Object.values(upstreams).map((upstream) => upstream.close()));
      service.close();
    },
  };
}

/** One for all tests of a file, with a key of every scope; what reached services is forgotten before each. */
export function useGuardedGateway(begin: (fresh: { readonly gateway: GuardedGateway; readonly key: string }) => void): void {
  let gateway: GuardedGateway | undefined;
  beforeAll(async () => {
    gateway = await startGuardedGateway();
    begin({ gateway, key: gateway.key() });
  });
  beforeEach(() => void gateway?.reached.splice(0));
  afterAll(() => gateway?.close());
}
