import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { operations as everyOperation } from '@millrace/contracts';
import type { Operation } from '@millrace/contracts';
import { createHttpApp, startHttpServer } from '@millrace/http';
import type { HttpServer } from '@millrace/http';
import { createLogger, createMetrics } from '@millrace/service';
import { eventually } from '@millrace/testing';
import type { Registry } from 'prom-client';
import { createUpstream } from '../src/proxy.ts';
import type { Upstream } from '../src/proxy.ts';
import { openResilience } from '../src/resilience/open-resilience.ts';
import { planOf } from '../src/resilience/resilience-table.ts';
import { createRetryBudget } from '../src/resilience/retry-budget.ts';
import { routeTable } from '../src/route-table.ts';
import { startUnreliableService } from './unreliable-service.ts';
import type { UnreliableService } from './unreliable-service.ts';

const operation = (over: Partial<Operation>): Operation => ({ operationId: 'read', method: 'get', path: '/api/read', service: 'first', scope: 'products:read', summary: '', responses: {}, ...over });
const operations = [
  operation({}),
  operation({ operationId: 'createProduct', method: 'post', path: '/api/create' }),
  operation({ operationId: 'lookupSubscribers', method: 'post', path: '/api/lookup' }),
  operation({ operationId: 'heavy', path: '/api/heavy', timeoutMs: 80 }),
  operation({ operationId: 'upload', method: 'post', path: '/api/upload', streams: ['application/x-ndjson'] }),
  operation({ operationId: 'other', path: '/api/other', service: 'second' }),
];
/** Of most tests: a machine that is busy must not decide. */
const patient = { wholeMs: 20_000, firstTryMs: 10_000 };
const quick = { wholeMs: 600, firstTryMs: 100 };
const NEVER = { size: 100_000, minimum: 100_000, halfOpenAfterMs: 60_000 };
const SOON = { size: 20, minimum: 10, halfOpenAfterMs: 50 };
const problem = (code: string): string => JSON.stringify({ type: `urn:millrace:problem:${code}`, title: '', status: 500, code, detail: '' });

let [first, second]: UnreliableService[] = [];
let gateway: { readonly server: HttpServer; readonly metrics: Registry; readonly lines: readonly { readonly msg: string }[]; readonly upstreams: Readonly<Record<string, Upstream>> } | undefined;

beforeAll(async () => {
  [first, second] = await Promise.all([startUnreliableService(), startUnreliableService()]);
});
afterAll(async () => {
  await Promise.all([first?.kill(), second?.kill()]);
});
const service = (): UnreliableService => {
  if (!first) throw new Error('it has not started');
  return first;
};

async function startGateway({ breaker = NEVER, retryPercent = 10, time = patient } = {}): Promise<void> {
  const metrics = createMetrics('test');
  const lines: { msg: string }[] = [];
  const silent = createLogger('test', 'silent');
  const logger = Object.assign(Object.create(silent), { info: (_: unknown, msg: string) => lines.push({ msg }), warn: (_: unknown, msg: string) => lines.push({ msg }) });
  const resilience = openResilience({ operations, retryPercent, logger, metrics, breaker, times: { first: time, second: time }, rules: {} });
  const upstreams = { first: createUpstream('first', service().url), second: createUpstream('second', second?.url ?? '') };
  const authenticate = async () => ({ id: 'key', kind: 'secret' as const, workspaceId: 'default', scopes: ['products:read'], isDevelopment: false });
  const routes = routeTable({ operations, upstreams, local: {}, policies: [resilience.policy], authenticate, logger: silent, signer: { sign: async () => '' }, audit: async () => undefined });
  const server = await startHttpServer(createHttpApp({ logger: silent, metrics: createMetrics('http'), handlers: [routes] }), { host: '127.0.0.1', port: 0 });
  gateway = { server, metrics, lines, upstreams };
}
beforeEach(async () => {
  first?.behave('ok');
  second?.behave('ok');
});
afterEach(async () => {
  await gateway?.server.close(0);
  await Promise.all(Object.values(gateway?.upstreams ?? {}).map((upstream) => upstream.close()));
  gateway = undefined;
});

const call = async (path = '/api/read', init: RequestInit = {}) => {
  const answer = await fetch(`http://127.0.0.1:${gateway?.server.port ?? 0}${path}`, init);
  return { status: answer.status, body: await answer.json() as Record<string, unknown>, retryAfter: answer.headers.get('retry-after') };
};
const send = (path: string, body = '{}') => call(path, { method: 'POST', body, headers: { 'content-type': 'application/json' } });
/** How many requests the service got while this ran. */
const asked = async (work: () => Promise<unknown>): Promise<number> => {
  const before = service().calls.length;
  await work();
  return service().calls.length - before;
};
const times10 = async (n: number, work: () => Promise<unknown>): Promise<void> => {
  for (let done = 0; done < n; done += 1) await work();
};
const metric = async (name: string, labels = 'service="first"'): Promise<number> => Number(new RegExp(`^${name}\\{[^}]*${labels}[^}]*\\} (\\S+)$`, 'm').exec((await gateway?.metrics.metrics()) ?? '')?.[1] ?? 0);

describe('retries', () => {
  it.each([
    ['a connection that breaks', 'die' as const],
    ['502', { status: 502 }],
    ['503', { status: 503 }],
    ['504', { status: 504 }],
    ['silence', 'hang' as const],
  ])('answers a read with its repetition after %s', async (_what, how) => {
    await startGateway({ retryPercent: 100, time: { ...patient, ...(how === 'hang' && { firstTryMs: 500 }) } });
    await call();
    service().behave((n) => (n % 2 === bad % 2 ? how : 'ok'));
    const bad = service().calls.length + 1;
    expect((await call()).status).toBe(200);
    expect(service().calls.length).toBe(bad + 1);
    expect(await metric('upstream_retries_total')).toBe(1);
    service().release();
  });
  it.each([
    ['a read that was answered 400', '/api/read', { status: 400 }],
    ['a read that was answered 500', '/api/read', { status: 500 }],
    ['a read whose service says when to come again', '/api/read', { status: 503, headers: { 'retry-after': '1' } }],
  ])('never repeats %s', async (_what, path, how) => {
    await startGateway();
    await times10(20, () => call());
    service().behave(how);
    expect(await asked(() => call(path))).toBe(1);
  });
  it.each([
    ['a connection that broke', 'die' as const],
    ['502', { status: 502 }],
    ['503', { status: 503 }],
  ])('never repeats a write after %s: nobody knows what became of it', async (_what, how) => {
    await startGateway();
    await times10(20, () => call());
    service().behave(how);
    expect(await asked(() => send('/api/create'))).toBe(1);
    expect(await asked(() => send('/api/lookup'))).toBe(2);
  });
  it('repeats a write that was never sent', async () => {
    await startGateway({ retryPercent: 100 });
    await service().kill();
    const written = send('/api/create', '{"sku":"a"}');
    // The first try is refused; the second comes up to 0.1 s later.
    await eventually(async () => (await metric('upstream_retries_total')) === 1);
    expect((await written).status).toBe(502);
    await service().start();
    expect((await send('/api/create')).status).toBe(200);
  });
  it('repeats no more than 10 % of the calls while everything fails', async () => {
    await startGateway();
    service().behave('die');
    expect(await asked(() => Promise.all(Array.from({ length: 200 }, () => call())))).toBeLessThanOrEqual(220);
    expect(await metric('upstream_retries_total')).toBeGreaterThanOrEqual(10);
    expect(await metric('upstream_retries_total')).toBeLessThanOrEqual(20);
    expect(await metric('upstream_retries_total') + await metric('upstream_retry_budget_exhausted_total')).toBe(200);
  });
  it('lets a slow service go on answering where the budget is used up', async () => {
    await startGateway({ retryPercent: 0, time: { ...patient, firstTryMs: 100 } });
    service().behave('hang');
    const before = service().calls.length;
    const slow = call();
    await eventually(async () => service().calls.length > before && (await metric('upstream_retry_budget_exhausted_total')) === 1);
    service().release();
    expect((await slow).status).toBe(200);
  });
  it('gives up at the deadline, with its repetition', async () => {
    await startGateway({ retryPercent: 100, time: { wholeMs: 3_000, firstTryMs: 300 } });
    service().behave('hang');
    let answer: Awaited<ReturnType<typeof call>> | undefined;
    expect(await asked(async () => { answer = await call(); })).toBe(2);
    expect(answer).toMatchObject({ status: 504, body: { code: 'upstream_timeout' } });
    service().release();
  });
  it('asks for nobody who has gone', async () => {
    await startGateway({ retryPercent: 100 });
    await times10(10, () => call());
    const gone = new AbortController();
    service().behave(() => {
      gone.abort();
      return 'die';
    });
    expect(await asked(async () => {
      await expect(call('/api/read', { signal: gone.signal })).rejects.toThrow(/abort/);
      service().behave('ok');
      await times10(5, () => call());
    })).toBe(6);
  });
});

describe('the budget of retries', () => {
  it('holds in every window, and grants nothing in advance', () => {
    let nowMs = 0;
    const budget = createRetryBudget({ percent: 10, now: () => nowMs });
    const takeAll = (): number => {
      let taken = 0;
      while (budget.take()) taken += 1;
      return taken;
    };
    expect(takeAll()).toBe(0);
    for (let n = 0; n < 100; n += 1) budget.called();
    expect(takeAll()).toBe(10);
    nowMs = 5_000;
    for (let n = 0; n < 50; n += 1) budget.called();
    expect(takeAll()).toBe(5);
    // The first hundred have left the window, with their ten retries.
    nowMs = 10_500;
    expect(takeAll()).toBe(0);
    nowMs = 60_000;
    expect(takeAll()).toBe(0);
  });
});

describe('a breaker', () => {
  it('refuses at once while its service is dead, without asking it, and hurts no other', async () => {
    await startGateway({ breaker: { ...SOON, halfOpenAfterMs: 60_000 } });
    await service().kill();
    await times10(12, () => call());
    expect(await call()).toMatchObject({ status: 503, body: { code: 'unavailable', detail: expect.stringContaining('first') }, retryAfter: '1' });
    expect(await metric('upstream_breaker_state')).toBe(2);
    expect(await metric('upstream_breaker_refusals_total')).toBeGreaterThanOrEqual(1);
    expect((await send('/api/upload', '{}\n')).status).toBe(503);
    expect((await call('/api/other')).status).toBe(200);
    expect(await metric('upstream_breaker_state', 'service="second"')).toBe(0);
    await service().start();
    expect(await asked(() => times10(5, () => call()))).toBe(0);
  });
  it('lets one call through to see whether the service is back, and closes when it is', async () => {
    await startGateway({ breaker: SOON });
    await service().kill();
    await times10(12, () => call());
    await service().start();
    service().behave('hang');
    const before = service().calls.length;
    // Only the one that found the half-open breaker gets there; the others are refused meanwhile.
    const probes: Promise<{ status: number }>[] = [];
    await eventually(async () => {
      probes.push(call());
      return service().calls.length > before;
    });
    expect((await Promise.all(Array.from({ length: 20 }, () => call()))).map(({ status }) => status)).toEqual(Array.from({ length: 20 }, () => 503));
    expect(service().calls.length).toBe(before + 1);
    service().behave('ok');
    service().release();
    expect((await Promise.all(probes)).filter(({ status }) => status === 200)).toHaveLength(1);
    expect((await call()).status).toBe(200);
    expect(gateway?.lines.map(({ msg }) => msg)).toEqual(['a service fails and is left alone, one call at a time probes it', 'a service answers again']);
  });
  it('stays open after a probe that fails, and after one whose caller has gone', async () => {
    await startGateway({ breaker: SOON, time: quick });
    service().behave('die');
    await times10(12, () => call());
    await eventually(async () => (await call()).status === 502);
    expect(await metric('upstream_breaker_state')).toBe(2);
    service().behave('hang');
    const gone = new AbortController();
    const before = service().calls.length;
    await eventually(async () => {
      call('/api/read', { signal: gone.signal }).catch(() => undefined);
      return service().calls.length > before;
    });
    gone.abort();
    await eventually(async () => (await metric('upstream_breaker_state')) === 2);
    expect(gateway?.lines.map(({ msg }) => msg)).toEqual(['a service fails and is left alone, one call at a time probes it']);
    service().behave('ok');
    service().release();
    await eventually(async () => (await call()).status === 200);
  });
  it.each([
    ['refusals of what callers send', { status: 422 }],
    ['bugs that callers can bring about', { status: 500, headers: { 'content-type': 'application/problem+json' }, body: problem('internal') }],
    ['a part of the service that is away', { status: 503, headers: { 'content-type': 'application/problem+json', 'retry-after': '1' }, body: problem('unavailable') }],
  ])('does not open for %s', async (_what, how) => {
    await startGateway({ breaker: SOON });
    service().behave(how);
    expect(await asked(() => times10(30, () => call()))).toBe(30);
    expect(await metric('upstream_breaker_state')).toBe(0);
  });
  it.each([['500 of something between', { status: 500 }], ['silence', 'hang' as const]])('opens for %s', async (_what, how) => {
    await startGateway({ breaker: { ...SOON, halfOpenAfterMs: 60_000 }, time: quick });
    service().behave(how);
    await Promise.all(Array.from({ length: 12 }, () => call()));
    expect((await call()).status).toBe(503);
    service().release();
  });
  it('does not open for heavy work that takes too long', async () => {
    await startGateway({ breaker: SOON });
    service().behave((_n, req) => (req.url === '/api/heavy' ? 'hang' : 'ok'));
    await Promise.all(Array.from({ length: 25 }, () => call('/api/heavy')));
    expect((await call()).status).toBe(200);
    service().release();
  });
  it('is closed for an upload beside the probe, and no upload ever is the probe', async () => {
    await startGateway({ breaker: SOON });
    await service().kill();
    await times10(12, () => call());
    await service().start();
    await eventually(async () => (await send('/api/upload', '{}\n')).status === 200);
    expect(await metric('upstream_breaker_state')).toBe(2);
  });
});

describe('the table of timeouts', () => {
  it('stops the gateway for a service without timeouts, and for a rule without an operation', () => {
    const deps = { retryPercent: 10, logger: createLogger('test', 'silent'), times: { first: quick, second: quick } };
    expect(() => openResilience({ ...deps, metrics: createMetrics('a'), operations: [operation({ service: 'third' })], rules: {} })).toThrow(/third/);
    expect(() => openResilience({ ...deps, metrics: createMetrics('b'), operations, rules: { nothing: {} } })).toThrow(/nothing/);
    expect(() => openResilience({ retryPercent: 10, logger: deps.logger, metrics: createMetrics('c'), operations: everyOperation })).not.toThrow();
  });
  it('takes what an operation says itself before what its service has', () => {
    expect([planOf(operation({ timeoutMs: 70_000 }), { first: quick }, {}).wholeMs, planOf(operation({}), { first: quick }, { read: { wholeMs: 5 } }).wholeMs, planOf(operation({}), { first: quick }, {}).wholeMs]).toEqual([70_000, 5, 600]);
  });
  it('sends a read again only where nothing was sent when each try costs something elsewhere', () => {
    expect([planOf(operation({}), { first: { ...quick, isCostly: true } }, {}), planOf(operation({}), { first: quick }, {})]).toMatchObject([{ retry: 'unsent', firstTryMs: undefined }, { retry: 'read' }]);
  });
});
