import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { productExample } from '@millrace/contracts';
import { authenticate, createHttpApp, startHttpServer } from '@millrace/http';
import { createLogger, createMetrics, createServiceKeys, openIdentitySigner, openIdentityVerifier } from '@millrace/service';
import type { Caller } from '@millrace/service';
import { startRedisServer } from '@millrace/testing';
import type { RedisServer } from '@millrace/testing';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import type { Registry } from 'prom-client';
import { configSchema } from '../src/config.ts';
import { openMcp } from '../src/open-mcp.ts';

export interface Instance {
  readonly url: string;
  readonly logs: string[];
  readonly metrics: Registry;
  close(): Promise<void>;
}

export interface Shop {
  readonly url: string;
  readonly rows: Map<string, { version: number; stock: number }>;
  /** `METHOD path` and the bearer token of each call. */
  readonly seen: { readonly call: string; readonly token: string; readonly requestId: string | undefined }[];
  close(): Promise<void>;
}

/** The API as far as the tools of products ask it. */
async function startShop(): Promise<Shop> {
  const rows = new Map([['MR-0001', { version: 5, stock: 12 }]]);
  const seen: { call: string; token: string; requestId: string | undefined }[] = [];
  const answerCall = async (req: IncomingMessage, res: ServerResponse): Promise<void> => {
    let text = '';
    for await (const chunk of req) text += String(chunk);
    seen.push({ call: `${req.method} ${req.url}`, token: (req.headers.authorization ?? '').slice(7), requestId: req.headers['x-request-id']?.toString() });
    const [, , , sku = '', part] = (req.url ?? '').split('/');
    const row = rows.get(sku);
    const answer = (status: number, body: unknown): void => void res.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    const refuse = (status: number, code: string): void => answer(status, { type: 'urn:x', title: code, status, code, detail: `${code} of ${sku}` });
    if (!row) return refuse(404, 'not_found');
    if (part === 'stock') {
      const { stock, expected_version: version } = JSON.parse(text) as { stock: number; expected_version: number };
      if (version !== row.version) return refuse(412, 'precondition_failed');
      rows.set(sku, { version: row.version + 1, stock });
    }
    return answer(200, { ...productExample, sku, ...rows.get(sku) });
  };
  const server = createServer((req, res) => void answerCall(req, res).catch((error: unknown) => res.destroy(new Error('the shop failed', { cause: error }))));
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  return {
    rows, seen, url: `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`,
    close: () => new Promise((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    }),
  };
}

export interface Kit {
  readonly redis: RedisServer;
  readonly shop: Shop;
  /** Signs as this service. */
  sign(service: string, audience: string, caller?: Partial<Caller>): Promise<string>;
  start(variables?: Readonly<Record<string, string>>): Promise<Instance>;
  /** What the gateway sends. */
  headers(caller?: Partial<Caller>): Promise<Record<string, string>>;
  /** The official client over instances in turn. */
  connect(instances: readonly Instance[], caller?: Partial<Caller>): Promise<Client>;
  close(): Promise<void>;
}

/** No minute and no day ends while calls are counted. */
const NOON_MS = Date.parse('2026-11-22T12:00:00Z');
const CALLER: Caller = { subject: 'key_1', workspaceId: 'default', scopes: ['products:read', 'products:write', 'search:read'] };

/** Redis, an API in memory, keys of services, and instances as main.ts wires them. */
export async function startKit(): Promise<Kit> {
  const [redis, shop, folder] = await Promise.all([startRedisServer(), startShop(), mkdtemp(join(tmpdir(), 'mcp-keys-'))]);
  const closing: (() => Promise<unknown>)[] = [() => redis.stop(), () => shop.close(), () => rm(folder, { recursive: true })];
  const { privateKeys, jwks } = await createServiceKeys(['gateway', 'mcp', 'pos']);
  const jwksFile = join(folder, 'jwks.json');
  await writeFile(jwksFile, JSON.stringify(jwks));
  const keyFile = (name: string): string => join(folder, `${name}.jwk`);
  for (const [name, key] of Object.entries(privateKeys)) await writeFile(keyFile(name), JSON.stringify(key));
  const sign = async (service: string, audience: string, caller: Partial<Caller> = {}): Promise<string> => (await openIdentitySigner(keyFile(service))).sign(audience, { ...CALLER, ...caller });
  const headers = async (caller: Partial<Caller> = {}): Promise<Record<string, string>> => ({ authorization: `Bearer ${await sign('gateway', 'mcp', caller)}`, 'x-millrace-gateway-token': await sign('gateway', 'gateway', caller) });
  return {
    redis, shop, sign, headers,
    async start(variables = {}) {
      const own: (() => unknown)[] = [];
      const onClose = (step: () => unknown): void => void own.push(step);
      const close = async (): Promise<void> => {
        for (const step of own.splice(0).toReversed()) await step();
      };
      closing.push(close);
      const config = configSchema.parse({ INTERNAL_JWKS_FILE: jwksFile, INTERNAL_KEY_FILE: keyFile('mcp'), REDIS_URL: redis.url, GATEWAY_URL: shop.url, ...variables });
      const logs: string[] = [];
      const logger = createLogger('mcp', 'trace', { write: (line) => void logs.push(line) });
      const metrics = createMetrics('mcp');
      const routes = await openMcp({ config, logger, metrics, onClose }, () => NOON_MS);
      const server = await startHttpServer(createHttpApp({ logger, metrics, handlers: [authenticate(await openIdentityVerifier(jwksFile, 'mcp'), ['gateway']), routes] }), { host: '127.0.0.1', port: 0 });
      onClose(() => server.close(0));
      return { url: `http://127.0.0.1:${server.port}/mcp`, logs, metrics, close };
    },
    async connect(instances, caller = {}) {
      let turn = 0;
      const own = await headers(caller);
      const inTurn = (_url: URL | string, init?: RequestInit): Promise<Response> => {
        const next = instances[turn % instances.length]?.url ?? '';
        turn += 1;
        return fetch(next, init);
      };
      const client = new Client({ name: 'desk', version: '1' });
      await client.connect(new StreamableHTTPClientTransport(new URL('http://mcp/mcp'), { fetch: inTurn, requestInit: { headers: own } }));
      closing.push(() => client.close());
      return client;
    },
    async close() {
      for (const step of closing.toReversed()) await step();
    },
  };
}
