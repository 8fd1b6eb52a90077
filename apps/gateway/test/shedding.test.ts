import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { operations } from '@millrace/contracts';
import type { Operation } from '@millrace/contracts';
import { createHttpApp, startHttpServer } from '@millrace/http';
import type { HttpServer } from '@millrace/http';
import { createLogger, createMetrics } from '@millrace/service';
import { eventually } from '@millrace/testing';
import { routeTable } from '../src/route-table.ts';
import { createClassTable, shedOrder } from '../src/shedding/call-class.ts';
import { createSheddingPolicy, openShedding } from '../src/shedding/open-shedding.ts';
import { createPressure } from '../src/shedding/pressure.ts';

const LIMIT_MS = 100;
const changes: boolean[] = [];
const create = () => createPressure({ limitMs: LIMIT_MS, onChange: (isShedding) => changes.push(isShedding) });
/** The part of a hundred calls that is refused, by class. */
const refused = (pressure: ReturnType<typeof create>) => shedOrder.map((callClass) => Array.from({ length: 100 }, () => pressure.refuses(callClass)).filter(Boolean).length);

describe('the pressure on a gateway', () => {
  it('is none for a pause of the garbage collector, however long', () => {
    const pressure = create();
    for (let n = 0; n < 20; n += 1) {
      pressure.sample(3_000, 3_050);
      pressure.sample(0, 50);
    }
    expect([pressure.isShedding(), refused(pressure)]).toEqual([false, [0, 0, 0]]);
  });
  it('is none where the machine has no time for a process that has little to do', () => {
    const pressure = create();
    for (let n = 0; n < 20; n += 1) pressure.sample(500, 550, 0.3);
    expect([pressure.isShedding(), pressure.lagMs()]).toEqual([false, 500]);
  });
  it('refuses reads first, then writes, events last, and what operators do never', () => {
    const pressure = create();
    const seen: number[][] = [];
    for (let n = 0; n < 20; n += 1) {
      pressure.sample(150, 200);
      seen.push(refused(pressure));
      expect(pressure.refuses('never')).toBe(false);
    }
    for (const [reads = 0, writes = 0, events = 0] of seen) {
      if (writes > 0) expect(reads).toBeGreaterThanOrEqual(99);
      if (events > 0) expect(writes).toBeGreaterThanOrEqual(99);
    }
    expect(seen.at(-1)).toEqual([100, 100, 100]);
  });
  it('stays while the lag is between the limit and its half, and goes bit by bit below', () => {
    const pressure = create();
    changes.length = 0;
    for (let n = 0; n < 3; n += 1) pressure.sample(400, 450);
    const before = refused(pressure);
    expect(before).toEqual([100, 100, 0]);
    for (let n = 0; n < 100; n += 1) pressure.sample(60, 110);
    expect(refused(pressure)).toEqual(before);
    let steps = 0;
    let [last = 0] = before;
    while (pressure.isShedding()) {
      pressure.sample(10, 60);
      const [reads = 0] = refused(pressure);
      expect(reads).toBeLessThanOrEqual(last + 1);
      last = reads;
      steps += 1;
    }
    expect(steps).toBeGreaterThan(20);
    expect(changes).toEqual([true, false]);
  });
});

describe('classes of calls', () => {
  const classOf = createClassTable(operations);
  const classes = new Map(operations.map((operation) => [operation.operationId, classOf(operation)]));
  const byId = (id: string) => classes.get(id);
  it('are told by what an operation does, and by who calls it', () => {
    expect(['searchProducts', 'similarByBody', 'createProduct', 'logEvent', 'logEvents', 'postImpressions', 'listStreams', 'getProductPage'].map(byId)).toEqual(['reads', 'reads', 'writes', 'events', 'events', 'events', 'never', 'reads']);
  });
  it('stop the gateway where one names an unknown operation', () => {
    expect(() => createClassTable([], { nothing: 'reads' })).toThrow(/nothing/);
  });
});

describe('shedding at the gateway', () => {
  const operation = (over: Partial<Operation>): Operation => ({ operationId: 'read', method: 'get', path: '/api/read', service: 'svc', scope: 'products:read', summary: '', responses: {}, ...over });
  const served = [operation({}), operation({ operationId: 'logEvent', method: 'post', path: '/api/event' }), operation({ operationId: 'look', path: '/api/look', scope: 'ops' })];
  const pressure = create();
  const shed: string[] = [];
  const logger = createLogger('test', 'silent');
  let server: HttpServer | undefined;
  let passed = 0;
  beforeAll(async () => {
    const policy = createSheddingPolicy(createClassTable(served, { logEvent: 'events' }), pressure, (callClass) => shed.push(callClass));
    const svc = { forward: async () => { passed += 1; return { status: 200, headers: {}, body: Buffer.from('{}') }; }, endFeeds: () => undefined, close: async () => undefined };
    const authenticate = async () => ({ id: 'key', kind: 'secret' as const, workspaceId: 'default', scopes: ['products:read', 'ops'], isDevelopment: false });
    const routes = routeTable({ operations: served, upstreams: { svc }, local: {}, policies: [policy], authenticate, logger, signer: { sign: async () => '' }, audit: async () => undefined });
    server = await startHttpServer(createHttpApp({ logger, metrics: createMetrics('test'), handlers: [routes] }), { host: '127.0.0.1', port: 0 });
  });
  afterAll(() => server?.close(0));
  const call = (path: string, method = 'GET') => fetch(`http://127.0.0.1:${server?.port ?? 0}${path}`, { method });

  it('answers 503 with Retry-After before anything is done, and lets events and operators in', async () => {
    for (let n = 0; n < 3; n += 1) pressure.sample(400, 450);
    const answer = await call('/api/read');
    expect([answer.status, answer.headers.get('retry-after'), answer.headers.get('content-type')]).toEqual([503, '1', 'application/problem+json; charset=utf-8']);
    expect(await answer.json()).toMatchObject({ code: 'unavailable', request_id: answer.headers.get('x-request-id') });
    expect([passed, shed]).toEqual([0, ['reads']]);
    expect([(await call('/api/event', 'POST')).status, (await call('/api/look')).status]).toEqual([200, 200]);
  });
  it('refuses nothing while it is the machine that keeps this process waiting', async () => {
    const lines: string[] = [];
    const told = Object.assign(Object.create(logger), { warn: (_: unknown, msg: string) => lines.push(msg) });
    const metrics = createMetrics('starved');
    const shedding = openShedding({ operations, limitMs: 20, logger: told, metrics, cpuUsage: () => ({ user: performance.now() * 300, system: 0 }) });
    for (let n = 0; n < 12; n += 1) {
      const untilMs = performance.now() + 120;
      while (performance.now() < untilMs);
      await new Promise(setImmediate);
    }
    shedding.close();
    expect(lines).toEqual([]);
    expect(await metrics.metrics()).not.toMatch(/^shedding_loop_lag_seconds 0$/m);
  });
  it('notices a process that is busy, and one that is not any more', async () => {
    const metrics = createMetrics('busy');
    const lines: string[] = [];
    const told = Object.assign(Object.create(logger), { warn: (_: unknown, msg: string) => lines.push(msg), info: (_: unknown, msg: string) => lines.push(msg) });
    // All of a processor, however many share it with this test.
    const cpuUsage = () => ({ user: performance.now() * 1_000, system: 0 });
    const shedding = openShedding({ operations, limitMs: 20, logger: told, metrics, cpuUsage });
    await eventually(async () => {
      const untilMs = performance.now() + 120;
      while (performance.now() < untilMs);
      return lines.length > 0;
    }, { everyMs: 1 });
    await eventually(() => lines.length > 1, { timeoutMs: 60_000 });
    shedding.close();
    expect(lines.slice(0, 2)).toEqual(['the event loop lags: calls are refused', 'no calls are refused any more']);
    expect(await metrics.metrics()).toMatch(/^shedding_loop_lag_seconds/m);
  });
});
