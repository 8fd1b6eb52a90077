import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { PLAN_LIMITS, planSchema } from '@millrace/contracts';
import type { Plan } from '@millrace/contracts';
import { eventually, testServer, uniqueName } from '@millrace/testing';
import { sql } from 'kysely';
import { z } from 'zod';
import { erasePlansOf, purgePlans } from '../src/plans/plan.repository.ts';
import { openPlanningBase } from './planning-gateway.ts';
import type { PlanningBase, PlanningGateway } from './planning-gateway.ts';

const steps: (() => unknown)[] = [];
const onClose = (step: () => unknown): void => void steps.push(step);
const SCOPES = ['plans', 'sessions', 'products:read', 'products:write', 'search:read', 'admin'];
let base: PlanningBase;
let open: Awaited<ReturnType<typeof openPlanningBase>>['openGateway'];
let here: PlanningGateway;
let there: PlanningGateway;
/** Keeps nobody's plans running. */
let idle: PlanningGateway;
let key: string;

beforeAll(async () => {
  ({ base, openGateway: open } = await openPlanningBase(onClose));
  const redisUrl = testServer('redis');
  [here, there, idle] = [await open({ redisUrl }), await open({ redisUrl }), await open({ redisUrl, runs: false })];
  ({ key } = await base.makeKey(SCOPES));
});
afterAll(async () => {
  for (const step of steps.toReversed()) await step();
});
afterEach(() => { base.service.onCall = (call) => call.answer(); });

interface Sent { readonly status: number; readonly body: Record<string, unknown>; readonly headers: Headers }
const send = async (method: string, path: string, body?: unknown, { as = key, at = here, headers = {} }: { as?: string; at?: PlanningGateway; headers?: Record<string, string> } = {}): Promise<Sent> => {
  const answer = await fetch(at.url + path, { method, headers: { 'x-api-key': as, ...headers, ...(body !== undefined && { 'content-type': 'application/json' }) }, ...(body !== undefined && { body: JSON.stringify(body) }) });
  const text = await answer.text();
  return { status: answer.status, headers: answer.headers, body: text === '' ? {} : JSON.parse(text) };
};
type Options = Parameters<typeof send>[3];
const make = async (given: readonly unknown[], more: object = {}, options: Options = {}): Promise<string> => {
  const { status, body } = await send('POST', '/api/plans', { steps: given, ...more }, options);
  expect([status, body['detail']]).toEqual([201, undefined]);
  return planSchema.parse(body).id;
};
const run = (id: string, body: object = {}, options: Options = {}): Promise<Sent> => send('POST', `/api/plans/${id}/run`, body, options);
const read = async (id: string, options: Options = {}): Promise<Plan> => planSchema.parse((await send('GET', `/api/plans/${id}`, undefined, options)).body);
const until = (id: string, state: Plan['state']): Promise<Plan> =>
  eventually(async () => { const plan = await read(id, { at: idle }); if (plan.state !== state) throw new Error(JSON.stringify(plan)); return plan; });
const adjust = (sku: string, delta = 1) => ({ operation: 'adjustStock', params: { sku }, body: { delta } });
const makeSession = async () => {
  const user = { headers: { 'x-user-id': uniqueName('customer') } };
  const { body } = await send('POST', '/api/sessions', { title: 'sale' }, user);
  const session = String(body['id']);
  const planOf = z.object({ plan: z.record(z.string(), z.unknown()) });
  return { user, session, shown: async () => planOf.parse((await send('GET', `/api/sessions/${session}`, undefined, user)).body).plan['running_plan'] };
};
const callsFor = (sku: string) => base.service.calls.filter(({ url }) => url.includes(`/${sku}`));

describe('a plan', () => {
  it('calls its steps one after the other in its caller\'s name, each with a key of its own and the one scope that it needs, and keeps what was answered', async () => {
    const [a, b] = [uniqueName('a'), uniqueName('b')];
    const id = await make([adjust(a, -2), { operation: 'getProduct', params: { sku: b } }, { operation: 'similarByBody', body: { product_id: b, limit: 5 } }]);
    expect([callsFor(a).length, (await read(id)).state]).toEqual([0, 'ready']);
    expect((await run(id)).status).toBe(202);
    const plan = await until(id, 'done');
    expect(plan.steps).toMatchObject([1, 2, 3].map((step) => ({ step, state: 'done', status: 200, attempts: 1, answer: { ok: true }, truncated: false })));
    expect(callsFor(a)).toMatchObject([{ method: 'POST', body: '{"delta":-2}', headers: { 'idempotency-key': `plan:${id}:1`, 'x-request-id': `plan:${id}:1` } }]);
    expect(callsFor(b)).toMatchObject([{ method: 'GET' }]);
    const token = String(callsFor(a)[0]?.headers.authorization).split('.')[1] ?? '';
    expect(JSON.parse(Buffer.from(token, 'base64url').toString())).toMatchObject({ aud: 'catalog-api', scope: 'products:write' });
  });
  it('runs once, although it is clicked fifty times at two gateways at once and again when it is done', async () => {
    const sku = uniqueName('sku');
    const id = await make([adjust(sku), adjust(sku, 2), adjust(sku, 3)]);
    const clicks = await Promise.all(Array.from({ length: 50 }, (_, n) => run(id, {}, { at: n % 2 === 0 ? here : there })));
    // A pool that is busy lets some wait too long: they may come again.
    expect(new Set(clicks.map(({ status }) => status).filter((status) => status !== 503))).toEqual(new Set([202]));
    await until(id, 'done');
    expect((await run(id)).body).toMatchObject({ state: 'done' });
    expect(callsFor(sku).map(({ body }) => body)).toEqual(['{"delta":1}', '{"delta":2}', '{"delta":3}']);
  });
  it('ends at a step that is refused, and leaves those behind it alone', async () => {
    const sku = uniqueName('sku');
    base.service.onCall = (call) => call.answer(call.body.includes('2') ? 404 : 200, '{"code":"not_found"}');
    const id = await make([adjust(sku), adjust(sku, 2), adjust(sku, 3)]);
    await run(id);
    expect(await until(id, 'failed')).toMatchObject({ ended_at: expect.any(String), steps: [{ state: 'done' }, { state: 'failed', status: 404, answer: { code: 'not_found' } }, { state: 'pending', attempts: 0 }] });
    expect((await run(id)).body).toMatchObject({ state: 'failed' });
    expect(callsFor(sku).length).toBe(2);
  });
  it('waits out a limit, and keeps the beginning of a long answer', async () => {
    const sku = uniqueName('sku');
    const long = JSON.stringify({ text: 'é'.repeat(PLAN_LIMITS.answerBytes) });
    base.service.onCall = (call) => (callsFor(sku).length === 1 ? call.answer(429, '{}', { 'retry-after': '0' }) : call.answer(200, long));
    const id = await make([adjust(sku)]);
    await run(id);
    const { steps: [step] } = await until(id, 'done');
    const kept = z.string().parse(step?.answer);
    expect([step?.attempts, step?.truncated, kept.length > 4_000, Buffer.byteLength(kept) <= PLAN_LIMITS.answerBytes + 3]).toEqual([2, true, true, true]);
  });
  it('calls tools that read as messages to the MCP server, with their scopes alone, and fails where a tool refuses', async () => {
    const [found, refused] = [uniqueName('found'), uniqueName('refused')];
    base.service.onCall = (call) => call.answer(200, JSON.stringify({ jsonrpc: '2.0', id: 1, result: { content: [], ...(call.body.includes(refused) && { isError: true }) } }));
    const id = await make([{ tool: 'search_products', arguments: { query: found } }, { tool: 'get_product', arguments: { sku: refused } }, adjust('never')]);
    await run(id);
    expect((await until(id, 'failed')).steps).toMatchObject([{ tool: 'search_products', operation: null, state: 'done' }, { state: 'failed', status: 200, answer: { result: { isError: true } } }, { state: 'pending' }]);
    const [call] = base.service.calls.filter(({ body }) => body.includes(found));
    expect([call?.url, JSON.parse(call?.body ?? '')]).toEqual(['/mcp', { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'search_products', arguments: { query: found } } }]);
    const token = String(call?.headers['x-millrace-gateway-token']).split('.')[1] ?? '';
    expect(JSON.parse(Buffer.from(token, 'base64url').toString())).toMatchObject({ aud: 'gateway', scope: 'products:read search:read' });
    const { key: narrow } = await base.makeKey(['plans', 'products:read']);
    expect((await send('POST', '/api/plans', { steps: [{ tool: 'search_products' }] }, { as: narrow })).status).toBe(403);
  });
  it('tells its session how far it is, beside what its caller keeps there', async () => {
    const user = { headers: { 'x-user-id': 'customer-81' } };
    const { body: session } = await send('POST', '/api/sessions', { title: 'sale', plan: { mine: 1 } }, user);
    const id = await make([adjust(uniqueName('sku'))], { session_id: session['id'] }, user);
    await run(id);
    await until(id, 'done');
    await eventually(async () => JSON.stringify((await send('GET', `/api/sessions/${String(session['id'])}`, undefined, user)).body['plan']).includes('"state":"done"'));
    expect((await send('GET', `/api/sessions/${String(session['id'])}`, undefined, user)).body).toMatchObject({ title: 'sale', plan: { mine: 1, running_plan: { id, state: 'done', steps: 1, over: 1 } } });
    for (const [headers, expected] of [[{}, 400], [{ 'x-user-id': 'somebody-else' }, 404]] as const) expect((await send('POST', '/api/plans', { steps: [adjust('x')], session_id: session['id'] }, { headers })).status).toBe(expected);
    const { key: narrow } = await base.makeKey(['plans', 'products:write']);
    expect((await send('POST', '/api/plans', { steps: [adjust('x')], session_id: session['id'] }, { ...user, as: narrow })).status).toBe(403);
  });
  it('that is cancelled while it waits tells its session, too', async () => {
    const { user, session, shown } = await makeSession();
    base.service.onCall = (call) => call.answer(500);
    const id = await make([{ operation: 'createSynonym', body: { kind: 'equivalent', terms: [uniqueName('a'), uniqueName('b')] } }], { session_id: session }, user);
    await run(id);
    await eventually(async () => { expect(await shown()).toMatchObject({ id, state: 'waiting' }); return true; });
    expect((await send('POST', `/api/plans/${id}/cancel`)).body['state']).toBe('cancelled');
    await eventually(async () => { expect(await shown()).toMatchObject({ id, state: 'cancelled' }); return true; });
  });
  it('that is cancelled does not hide another one of its session that goes on', async () => {
    const { user, session, shown } = await makeSession();
    base.service.onCall = (call) => call.answer(500);
    const asks = async (): Promise<string> => {
      const id = await make([{ operation: 'createSynonym', body: { kind: 'equivalent', terms: [uniqueName('a'), uniqueName('b')] } }], { session_id: session }, user);
      await run(id);
      await eventually(async () => { expect(await shown()).toMatchObject({ id, state: 'waiting' }); return true; });
      return id;
    };
    const [older, newer] = [await asks(), await asks()];
    await send('POST', `/api/plans/${older}/cancel`);
    await eventually(async () => (await sql`select 1 from gateway.plans where id = ${older} and told_event = last_event and state = 'cancelled'`.execute(base.db)).rows.length === 1);
    expect(await shown()).toMatchObject({ id: newer, state: 'waiting' });
  });
  it('that ended under a gateway that died before it could say so is told of to its session by another one, and no longer where the session is gone', async () => {
    const { user, session, shown } = await makeSession();
    const [told, gone, never] = [await make([adjust('a')], { session_id: session }, user), await make([adjust('a')], { session_id: session }, user), await make([adjust('a')], { session_id: session }, user)];
    await sql`update gateway.plans set session_id = gen_random_uuid() where id = ${gone}`.execute(base.db);
    await sql`update gateway.plans set state = 'done', fence = 1, last_event = 7 where id in (${told}, ${gone})`.execute(base.db);
    await eventually(async () => { expect(await shown()).toMatchObject({ id: told, state: 'done', event: 7 }); return true; });
    const eventOf = async (id: string) => (await base.db.selectFrom('gateway.plans').select('told_event').where('id', '=', id).executeTakeFirstOrThrow()).told_event;
    await eventually(async () => { expect([await eventOf(told), await eventOf(gone)]).toEqual([7, 7]); return true; });
    expect((await send('POST', `/api/plans/${never}/cancel`)).body['state']).toBe('cancelled');
    // Whoever tells of this one has looked for others, too.
    await sql`update gateway.plans set last_event = 8 where id = ${told}`.execute(base.db);
    await eventually(async () => { expect(await eventOf(told)).toBe(8); return true; });
    expect(await eventOf(never)).toBe(0);
  });
});

describe('a plan that is not right', () => {
  it.each([
    ['an unknown operation', { operation: 'nothing' }, '/steps/0/operation'], ['a tool that changes something', { tool: 'update_stock', arguments: { sku: 'x' } }, '/steps/0/tool'], ['a tool with a body', { tool: 'get_product', body: {} }, '/steps/0/body'], ['arguments that are no object', { tool: 'get_product', arguments: [] }, '/steps/0/arguments'], ['a message of the protocol', { operation: 'callMcp', body: { jsonrpc: '2.0' } }, '/steps/0/operation'], ['neither', {}, '/steps/0'], ['both', { operation: 'getProduct', tool: 'x' }, '/steps/0'],
    ['no path parameter', { operation: 'getProduct' }, '/steps/0/params/sku'], ['an unknown one', { operation: 'getProduct', params: { sku: 'a', more: 'b' } }, '/steps/0/params/more'], ['one that leads elsewhere', { operation: 'getProduct', params: { sku: '..' } }, '/steps/0/params/sku'],
    ['a body that the operation refuses', { operation: 'adjustStock', params: { sku: 'a' }, body: { delta: 'x' } }, '/steps/0/body/delta'], ['no body', { operation: 'adjustStock', params: { sku: 'a' } }, '/steps/0/body'], ['a body too many', { operation: 'getProduct', params: { sku: 'a' }, body: {} }, '/steps/0/body'],
    ['an unknown query parameter', { operation: 'getProduct', params: { sku: 'a' }, query: { x: '1' } }, '/steps/0/query'], ['a header of another kind', { operation: 'getProduct', params: { sku: 'a' }, headers: { authorization: 'x' } }, '/steps/0/headers/authorization'], ['arguments of no tool', { operation: 'getProduct', params: { sku: 'a' }, arguments: {} }, '/steps/0/arguments'],
    ['a missing header', { operation: 'createSession', body: {} }, '/steps/0/headers/x-user-id'], ['an upload', { operation: 'importProducts' }, '/steps/0/operation'], ['a feed', { operation: 'planEvents', params: { id: 'x' } }, '/steps/0/operation'], ['a key', { operation: 'createKey', body: {} }, '/steps/0/operation'],
    ['what names a person', { operation: 'mergeUser', params: { id: 'x' }, body: { from: 'y' } }, '/steps/0/operation'], ['what reads of persons', { operation: 'getSubscriber', params: { isdn: 'x' } }, '/steps/0/operation'], ['another plan', { operation: 'runPlan', params: { id: 'x' } }, '/steps/0/operation'], ['a body that is nested too deep', { operation: 'adjustStock', params: { sku: 'a' }, body: JSON.parse(`${'['.repeat(3_000)}${']'.repeat(3_000)}`) }, '/steps/0/body'],
  ])('is refused with %s, where it is', async (_what, step, pointer) => {
    const { status, body } = await send('POST', '/api/plans', { steps: [step] });
    expect([status, body]).toEqual([400, expect.objectContaining({ code: 'invalid_request', pointer: expect.stringContaining(pointer) })]);
  });
  it('is refused with too many steps, too large ones, and none', async () => {
    const bodies = [{ steps: [] }, { steps: Array.from({ length: PLAN_LIMITS.steps + 1 }, () => adjust('x')) }, { steps: [{ operation: 'createSynonym', body: { x: 'x'.repeat(PLAN_LIMITS.stepBytes) } }] }];
    expect(await Promise.all(bodies.map(async (body) => (await send('POST', '/api/plans', body)).status))).toEqual([400, 400, 400]);
  });
  it('is refused with a step that its caller may not call, when it is made and when it is run', async () => {
    const { id: keyId, key: narrow } = await base.makeKey(['plans', 'products:read']);
    const refused = await send('POST', '/api/plans', { steps: [{ operation: 'getProduct', params: { sku: 'a' } }, adjust('a')] }, { as: narrow });
    expect([refused.status, refused.body]).toEqual([403, expect.objectContaining({ pointer: '/steps/1/operation', detail: expect.stringContaining('products:write') })]);
    const sku = uniqueName('sku');
    const id = await make([{ operation: 'getProduct', params: { sku } }], {}, { as: narrow });
    await sql`update gateway.api_keys set scopes = '{plans}' where id = ${keyId}`.execute(base.db);
    // A gateway that knows nothing of the key yet.
    const fresh = await open({ redisUrl: testServer('redis') });
    expect((await run(id, {}, { as: narrow, at: fresh })).status).toBe(403);
    expect(callsFor(sku)).toEqual([]);
  });
  it('does nothing in the name of a key that was revoked after it was run', async () => {
    const { id: keyId, key: own } = await base.makeKey(['plans', 'products:write']);
    const sku = uniqueName('sku');
    const id = await make([adjust(sku)], {}, { as: own });
    await sql`update gateway.api_keys set revoked_at = now() where id = ${keyId}`.execute(base.db);
    await sql`update gateway.plans set state = 'running' where id = ${id}`.execute(base.db);
    const stepOf = () => base.db.selectFrom('gateway.plan_steps').select(['state', 'status']).where('plan_id', '=', id).executeTakeFirstOrThrow();
    await eventually(async () => { expect(await stepOf()).toEqual({ state: 'failed', status: 401 }); return true; });
    expect(callsFor(sku)).toEqual([]);
  });
  it('of somebody else does not exist: it is neither read, run, cancelled nor followed', async () => {
    const { key: stranger } = await base.makeKey(SCOPES);
    const id = await make([adjust(uniqueName('sku'))]);
    const as = { as: stranger };
    const answers = [await send('GET', `/api/plans/${id}`, undefined, as), await run(id, {}, as), await send('POST', `/api/plans/${id}/cancel`, undefined, as), await send('GET', `/api/plans/${id}/events`, undefined, as)];
    expect(answers.map(({ status }) => status)).toEqual([404, 404, 404, 404]);
    expect((await read(id)).state).toBe('ready');
  });
  it('is one too many where its caller has too many, or runs too many', async () => {
    const { id: keyId, key: own } = await base.makeKey(['plans', 'products:write']);
    const as = { as: own };
    const ids = [];
    for (let n = 0; n <= PLAN_LIMITS.running; n += 1) ids.push(await make([adjust(uniqueName('sku'))], {}, as));
    base.service.onCall = () => undefined;
    const statuses = [];
    for (const id of ids) statuses.push((await run(id, {}, as)).status);
    expect(statuses).toEqual([...Array.from({ length: PLAN_LIMITS.running }, () => 202), 409]);
    await sql`insert into gateway.plans (id, caller, workspace_id, caller_kind, scopes, title, state) select gen_random_uuid(), ${keyId}, 'default', 'secret', '{}', '', 'done' from generate_series(1, ${PLAN_LIMITS.kept})`.execute(base.db);
    expect((await send('POST', '/api/plans', { steps: [adjust('x')] }, as)).status).toBe(409);
    base.service.onCall = (call) => call.answer();
    for (const call of base.service.calls) call.answer();
    for (const id of ids.slice(0, -1)) await eventually(async () => { expect(await read(id, as)).toMatchObject({ state: 'done' }); return true; });
  });
});

describe('what is kept of plans', () => {
  it('goes after its time, also plans that were never run; not those that run', async () => {
    const ids = await Promise.all(['ready', 'done', 'running', 'waiting'].map(async (state) => {
      const id = await make([adjust(uniqueName('sku'))]);
      await sql`update gateway.plans set state = ${state}, updated_at = now() - interval '25 hours', fence = 9e15 where id = ${id}`.execute(base.db);
      return id;
    }));
    const fresh = await make([adjust(uniqueName('sku'))]);
    expect(await purgePlans(base.db, 24)).toBe(3);
    const kept = await Promise.all([...ids, fresh].map(async (id) => (await send('GET', `/api/plans/${id}`, undefined, { at: idle })).status));
    expect(kept).toEqual([404, 404, 200, 404, 200]);
  });
  it('goes with an erased user whom a call, an answer or a session names, and with nobody else', async () => {
    const user = uniqueName('customer');
    const number = String(Date.now());
    const naming = [{ operation: 'createSession', headers: { 'x-user-id': user }, body: { title: 'x' } }, { operation: 'createSession', headers: { 'x-user-id': 'x' }, body: { plan: { about: [user] } } }, { operation: 'createSession', headers: { 'x-user-id': 'x' }, body: { plan: { user_id: Number(number) } } }];
    const ids = await Promise.all(naming.map((step) => make([adjust(uniqueName('sku')), step])));
    const [answered, other] = [await make([adjust('a')]), await make([{ operation: 'createSession', headers: { 'x-user-id': `${user}2` }, body: {} }])];
    await sql`update gateway.plan_steps set answer = ${JSON.stringify({ user_id: user })} where plan_id = ${answered}`.execute(base.db);
    expect([await erasePlansOf(base.db, user), await erasePlansOf(base.db, number), await erasePlansOf(base.db, user)]).toEqual([3, 1, 0]);
    for (const id of [...ids, answered]) expect((await send('GET', `/api/plans/${id}`, undefined, { at: idle })).status).toBe(404);
    expect((await read(other)).state).toBe('ready');
    const { rows } = await sql<{ n: number }>`select count(*)::int as n from gateway.plan_events where plan_id = any(${[...ids, answered]}::uuid[])`.execute(base.db);
    expect(rows[0]?.n).toBe(0);
  });
  it('stays where somebody is erased whose id is the name of a field or of an operation, or the beginning of a number', async () => {
    const number = String(Date.now());
    const id = await make([adjust(uniqueName('sku')), { operation: 'createSession', headers: { 'x-user-id': uniqueName('customer') }, body: { plan: { user_id: Number(`${number}7`) } } }]);
    await sql`update gateway.plan_steps set answer = ${JSON.stringify({ status: 'active', user_id: Number(`${number}7`) })} where plan_id = ${id}`.execute(base.db);
    for (const user of ['operation', 'adjustStock', 'createSession', 'x-user-id', 'user_id', 'active', number, '.*', '"']) expect([user, await erasePlansOf(base.db, user)]).toEqual([user, 0]);
    expect((await read(id)).state).toBe('ready');
  });
});
