import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { adjustStock, callMcp, createKey, createSynonym, deleteProduct, getProduct, getSubscriber, importProducts, liveFeed, mergeUser, planOperations, sessionOperations, similarByBody } from '@millrace/contracts';
import type { Operation } from '@millrace/contracts';
import { createKysely, createPool, migrateSchema } from '@millrace/database';
import { createHttpApp, startHttpServer } from '@millrace/http';
import { connectRedis, keysFor } from '@millrace/redis-kit';
import { createApiKey, createLogger, createMetrics, createServiceKeys, hashApiKey, openIdentitySigner } from '@millrace/service';
import { createTestDatabase, startTunnel } from '@millrace/testing';
import type { Tunnel } from '@millrace/testing';
import { Router } from 'express';
import { createAuthenticateKey } from '../src/authenticate-key.ts';
import type { GatewayDb, GatewaySchema } from '../src/database.ts';
import { createIdempotencyStore } from '../src/idempotency/idempotency-store.ts';
import { idempotencyPolicy } from '../src/idempotency/idempotency.policy.ts';
import { findKeyOwner, findKeyOwnerById } from '../src/key.repository.ts';
import { openAuthenticateDelegated, openDelegate } from '../src/keys/delegation.ts';
import { createOpenFeeds } from '../src/keys/open-feeds.ts';
import { insertKey } from '../src/keys/managed-key.repository.ts';
import { migrations } from '../src/migrations/index.ts';
import { callStep } from '../src/plans/call-step.ts';
import { createPlanCalls } from '../src/plans/plan-calls.ts';
import { createPlanFeed } from '../src/plans/plan-feed.ts';
import { createPlanRunner } from '../src/plans/plan-runner.ts';
import type { PlanRunner } from '../src/plans/plan-runner.ts';
import { planRoutes } from '../src/plans/plans.routes.ts';
import { createTellSession } from '../src/plans/tell-session.ts';
import { createUpstream } from '../src/proxy.ts';
import { identifyCaller } from '../src/publishable.ts';
import { routeTable } from '../src/route-table.ts';
import { createSessionStore } from '../src/sessions/session-store.ts';
import type { SessionStore } from '../src/sessions/session-store.ts';
import { sessionRoutes } from '../src/sessions/sessions.routes.ts';

/** A call that reached the service: `answer` ends it. */
export interface ServiceCall {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
  answer(status?: number, body?: string, headers?: Record<string, string>): void;
  /** The connection breaks. */
  break(): void;
}

/** Stands for every service behind the gateway. */
export interface StubService {
  readonly calls: ServiceCall[];
  /** What it does with a call; default: 200 at once. */
  onCall: (call: ServiceCall) => void;
}

export interface PlanningBase {
  readonly db: GatewayDb;
  /** Behind it the gateways reach Postgres. */
  readonly tunnel: Tunnel;
  readonly service: StubService;
  readonly directory: string;
  readonly logged: string[];
  makeKey(scopes: readonly string[]): Promise<{ readonly id: string; readonly key: string }>;
}

export interface PlanningGateway {
  readonly url: string;
  readonly runner: PlanRunner;
  readonly sessions: SessionStore;
}

type OnClose = (step: () => unknown) => void;

/** Every operation that these tests need. */
export const operationsForPlans: readonly Operation[] = [adjustStock, getProduct, deleteProduct, createSynonym, similarByBody, importProducts, liveFeed, createKey, mergeUser, getSubscriber, callMcp, ...sessionOperations, ...planOperations];

async function openService(onClose: OnClose): Promise<{ readonly service: StubService; readonly url: string }> {
  const service: StubService = { calls: [], onCall: (call) => call.answer() };
  const server = createServer((req: IncomingMessage, res: ServerResponse) => {
    let body = '';
    req.on('data', (chunk: Buffer) => { body += chunk.toString(); });
    req.on('end', () => {
      const call: ServiceCall = {
        method: req.method ?? '', url: req.url ?? '', headers: req.headers, body,
        answer: (status = 200, text = '{"ok":true}', headers = {}) => void (res.headersSent ? undefined : res.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text), ...headers }).end(text)),
        break: () => void res.destroy(),
      };
      service.calls.push(call);
      service.onCall(call);
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  onClose(() => { server.closeAllConnections(); server.close(); });
  const address = server.address();
  return { service, url: `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}` };
}

/** Postgres, a service, and what several gateways share. */
export async function openPlanningBase(onClose: OnClose): Promise<{ readonly base: PlanningBase; readonly openGateway: (options: { redisUrl: string; leaseMs?: number; patienceMs?: number; runs?: boolean }) => Promise<PlanningGateway> }> {
  const [database, directory] = await Promise.all([createTestDatabase(), mkdtemp(join(tmpdir(), 'gateway-plans-'))]);
  onClose(() => Promise.all([database.drop(), rm(directory, { recursive: true })]));
  const keys = await createServiceKeys(['gateway']);
  await Promise.all([writeFile(join(directory, 'gateway.jwk'), JSON.stringify(keys.privateKeys['gateway'])), writeFile(join(directory, 'jwks.json'), JSON.stringify(keys.jwks))]);
  const pool = createPool({ url: database.url, name: 'plans test', max: 2 });
  onClose(() => pool.end());
  await migrateSchema(createKysely(pool), migrations);
  const db = createKysely<GatewaySchema>(pool);
  const tunnel = await startTunnel(database.url);
  onClose(() => tunnel.close());
  const { service, url: serviceUrl } = await openService(onClose);
  const logged: string[] = [];
  const logger = createLogger('test', 'debug', { write: (line: string) => void logged.push(line) });
  const delegate = await openDelegate(join(directory, 'gateway.jwk'));
  const signer = await openIdentitySigner(join(directory, 'gateway.jwk'));
  return {
    base: {
      db, tunnel, service, directory, logged,
      makeKey: async (scopes) => {
        const key = createApiKey();
        return { key, id: await insertKey(db, { name: 'test', hash: hashApiKey(key), scopes, workspaceId: 'default', createdBy: 'test', expiresAt: undefined }) };
      },
    },
    openGateway: async ({ redisUrl, leaseMs = 30_000, patienceMs, runs = true }) => {
      const own = createPool({ url: tunnel.url, name: 'plans test', max: 6, logger });
      onClose(() => own.end());
      const ownDb = createKysely<GatewaySchema>(own);
      const [redis, requests] = [connectRedis(redisUrl, { role: 'background', name: 'plans test' }), connectRedis(redisUrl, { role: 'request', name: 'plans test' })];
      onClose(() => { redis.disconnect(); requests.disconnect(); });
      const redisKeys = keysFor(redisUrl);
      const metrics = createMetrics('test');
      const sessions = createSessionStore({ redis: requests, keys: redisKeys, ttlMs: 60_000 });
      const calls = createPlanCalls(operationsForPlans);
      const feed = createPlanFeed({ db: ownDb, logger, everyMs: 20, heartbeatEveryMs: 200 });
      onClose(() => feed.close());
      const runner = createPlanRunner({ db: ownDb, redis, keys: redisKeys, calls, callStep, delegate, tellSession: createTellSession({ db: ownDb, store: sessions, logger }), leaseMs, logger, metrics, ...(patienceMs !== undefined && { patienceMs }) });
      const upstream = createUpstream('stub', serviceUrl);
      const authenticators = {
        authenticate: createAuthenticateKey({ isProduction: true, findKeyOwner: (hash) => findKeyOwner(ownDb, hash) }),
        authenticateDelegated: await openAuthenticateDelegated({ jwksFile: join(directory, 'jwks.json'), isProduction: true, findKeyOwnerById: (id) => findKeyOwnerById(ownDb, id) }),
      };
      const feeds = createOpenFeeds({ logger, identify: (req, operation) => identifyCaller(req, operation, authenticators) });
      onClose(() => feeds.close());
      const upstreams = Object.fromEntries([...new Set(operationsForPlans.map(({ service: name }) => name))].map((name) => [name, upstream]));
      const routes = routeTable({
        ...authenticators, operations: operationsForPlans, upstreams, logger, signer, delegate, audit: async () => undefined,
        policies: [feeds.policy, idempotencyPolicy({ store: createIdempotencyStore(requests, redisKeys), logger })],
        local: { ...sessionRoutes(sessions), ...planRoutes({ db: ownDb, calls, sessions, feed, onWanted: (id) => runner.kick(id) }), createKey: Router() },
      });
      const server = await startHttpServer(createHttpApp({ logger, metrics, handlers: [routes] }), { host: '127.0.0.1', port: 0 });
      onClose(async () => { await server.close(0); await upstream.close(); });
      onClose(() => runner.close(500));
      const url = `http://127.0.0.1:${server.port}`;
      if (runs) runner.start(url);
      return { url, runner, sessions };
    },
  };
}
