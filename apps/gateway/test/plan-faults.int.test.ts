import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { planSchema } from '@millrace/contracts';
import type { Plan } from '@millrace/contracts';
import { eventually, startRedisServer, testServer, uniqueName } from '@millrace/testing';
import type { RedisServer } from '@millrace/testing';
import { sql } from 'kysely';
import { ask, claimPlan, endPlan, endStep, startStep } from '../src/plans/plan-record.repository.ts';
import { openPlanningBase } from './planning-gateway.ts';
import type { PlanningBase, PlanningGateway } from './planning-gateway.ts';

const closing: (() => unknown)[] = [];
const onClose = (step: () => unknown): void => void closing.push(step);
let base: PlanningBase;
let open: Awaited<ReturnType<typeof openPlanningBase>>['openGateway'];
let here: PlanningGateway;
/** Runs nothing: what it answers is what Postgres knows. */
let idle: PlanningGateway;
/** On a Redis of its own. */
let lonely: PlanningGateway | undefined;
let own: RedisServer;
let key: string;

beforeAll(async () => {
  ({ base, openGateway: open } = await openPlanningBase(onClose));
  own = await startRedisServer();
  onClose(() => own.stop());
  const redisUrl = testServer('redis');
  [here, idle] = [await open({ redisUrl, patienceMs: 2_500 }), await open({ redisUrl, runs: false })];
  ({ key } = await base.makeKey(['plans', 'products:read', 'products:write', 'search:read', 'admin', 'sessions']));
});
afterAll(async () => {
  for (const step of closing.toReversed()) await step();
});
afterEach(() => { base.service.onCall = (call) => call.answer(); });

interface Sent { readonly status: number; readonly body: Record<string, unknown>; readonly headers: Headers }
const send = async (method: string, path: string, body?: unknown, at = here): Promise<Sent> => {
  const answer = await fetch(at.url + path, { method, headers: { 'x-api-key': key, ...(body !== undefined && { 'content-type': 'application/json' }) }, ...(body !== undefined && { body: JSON.stringify(body) }) });
  const text = await answer.text();
  return { status: answer.status, headers: answer.headers, body: text === '' ? {} : JSON.parse(text) };
};
const make = async (given: readonly unknown[]): Promise<string> => planSchema.parse((await send('POST', '/api/plans', { steps: given }, idle)).body).id;
const run = (id: string, body: object = {}, at = here): Promise<Sent> => send('POST', `/api/plans/${id}/run`, body, at);
const cancel = (id: string): Promise<Sent> => send('POST', `/api/plans/${id}/cancel`);
const read = async (id: string): Promise<Plan> => planSchema.parse((await send('GET', `/api/plans/${id}`, undefined, idle)).body);
const until = (id: string, state: Plan['state']): Promise<Plan> => eventually(async () => { const plan = await read(id); if (plan.state !== state) throw new Error(JSON.stringify(plan)); return plan; });
const adjust = (sku: string, delta = 1) => ({ operation: 'adjustStock', params: { sku }, body: { delta } });
/** Its service keeps no answers by Idempotency-Key. */
const synonym = (term: string) => ({ operation: 'createSynonym', body: { kind: 'equivalent', terms: [term, `${term}-too`] } });
const callsFor = (text: string) => base.service.calls.filter(({ url, body }) => url.includes(text) || body.includes(text));

/** As a gateway leaves a plan that dies while it calls the step. */
async function leaveInterrupted(id: string, number: number, calledAgo = '1 second'): Promise<void> {
  await sql`update gateway.plan_steps set state = 'done', status = 200 where plan_id = ${id} and number < ${number}`.execute(base.db);
  await sql`update gateway.plan_steps set state = 'running', attempts = 1, started_at = now() - ${calledAgo}::interval, called_at = now() - ${calledAgo}::interval where plan_id = ${id} and number = ${number}`.execute(base.db);
  await sql`update gateway.plans set state = 'running' where id = ${id}`.execute(base.db);
}

describe('a step that broke off', () => {
  it('is called again with the same key where its service keeps the answer, or where it reads', async () => {
    for (const step of [adjust(uniqueName('sku')), { operation: 'getProduct', params: { sku: uniqueName('sku') } }]) {
      const id = await make([adjust(uniqueName('before')), step]);
      await leaveInterrupted(id, 2);
      expect(await until(id, 'done')).toMatchObject({ steps: [{ attempts: 0 }, { state: 'done', attempts: 2 }] });
      expect(callsFor(step.params.sku).map(({ headers }) => headers['idempotency-key'])).toEqual([`plan:${id}:2`]);
    }
  });
  it('asks where nobody can tell, is retried no earlier than its call can be over, and once, or skipped', async () => {
    for (const todo of ['retry', 'skip'] as const) {
      const term = uniqueName('term');
      const id = await make([synonym(term), adjust(term)]);
      await leaveInterrupted(id, 1);
      const { question } = await until(id, 'waiting');
      expect(question).toMatchObject({ step: 1, kind: 'unclear', detail: expect.stringContaining('nobody knows'), retry_after: expect.any(String) });
      const answer = { on_interrupted: todo, question: question?.id };
      expect((await run(id)).status).toBe(409);
      expect((await run(id, { ...answer, question: 99 })).status).toBe(409);
      expect((await run(id, { on_interrupted: todo })).status).toBe(400);
      if (todo === 'retry') {
        const early = await run(id, answer);
        expect([early.status, Number(early.headers.get('retry-after')) > 50]).toEqual([409, true]);
        await sql`update gateway.plans set question = ${JSON.stringify({ ...question, retry_after: new Date().toISOString() })} where id = ${id}`.execute(base.db);
      }
      const clicks = await Promise.all(Array.from({ length: 5 }, () => run(id, answer)));
      expect(clicks.map(({ status }) => status)).toEqual(clicks.map(() => 202));
      const done = await until(id, 'done');
      expect([done.steps.map(({ state }) => state), callsFor(`["${term}"`).length]).toEqual(todo === 'retry' ? [['done', 'done'], 1] : [['skipped', 'done'], 0]);
      expect((await run(id, answer)).body).toMatchObject({ state: 'done' });
    }
  });
  it('asks after a day, too: by then its service has forgotten the answer', async () => {
    const sku = uniqueName('sku');
    const id = await make([adjust(sku)]);
    await leaveInterrupted(id, 1, '24 hours');
    expect((await until(id, 'waiting')).question).toMatchObject({ kind: 'unclear' });
    expect(callsFor(sku)).toEqual([]);
  });
  it('asks where the service answered 500, or broke off, and is called again by itself where that is harmless', async () => {
    for (const bad of ['500', 'broken'] as const) {
      const [term, sku] = [uniqueName('term'), uniqueName('sku')];
      base.service.onCall = (call) => { if (callsFor(sku).length > 1) call.answer(); else if (bad === '500') call.answer(500); else call.break(); };
      const [asking, harmless] = [await make([synonym(term)]), await make([{ operation: 'getProduct', params: { sku } }])];
      await Promise.all([run(asking), run(harmless)]);
      expect((await until(asking, 'waiting')).question).toMatchObject({ kind: 'unclear' });
      expect((await until(harmless, 'done')).steps[0]?.attempts).toBeGreaterThan(1);
      expect(callsFor(term).length).toBe(1);
    }
  });
  it('is called again where a tool says that something was away, and fails where it says what stays so', async () => {
    const [sku, used] = [uniqueName('sku'), uniqueName('used')];
    const said = (code: string) => JSON.stringify({ jsonrpc: '2.0', id: 1, result: { isError: true, content: [], _meta: { 'millrace/problem': { code, detail: 'x', retry_after_seconds: 0 } } } });
    const codes = ['upstream_unavailable', 'upstream_timeout', 'unavailable', 'timeout', 'rate_limited'];
    base.service.onCall = (call) => {
      const code = call.body.includes(used) ? 'daily_cap' : codes.find((one) => call.body.includes(`${sku}-${one}"`) && callsFor(`${sku}-${one}"`).length === 1);
      call.answer(200, code === undefined ? '{"jsonrpc":"2.0","id":1,"result":{"content":[]}}' : said(code));
    };
    const tools = [...codes.map((code) => `${sku}-${code}`), used].map((one) => make([{ tool: 'get_product', arguments: { sku: one } }]));
    const ids = await Promise.all(tools);
    for (const id of ids) expect((await run(id)).status).toBe(202);
    const capped = ids.pop() ?? '';
    for (const id of ids) expect((await until(id, 'done')).steps[0]?.attempts).toBe(2);
    expect((await until(capped, 'failed')).steps[0]?.attempts).toBe(1);
  });
  it('says that nothing was done where it is refused for too long, and goes on when it is run again', async () => {
    const sku = uniqueName('sku');
    base.service.onCall = (call) => call.answer(429, '{}', { 'retry-after': '0' });
    const id = await make([adjust(sku)]);
    await run(id);
    const { question } = await until(id, 'waiting');
    expect(question).toMatchObject({ kind: 'unavailable', retry_after: null });
    base.service.onCall = (call) => call.answer();
    expect((await run(id, { on_interrupted: 'retry', question: question?.id })).status).toBe(202);
    await until(id, 'done');
  });
  it('asks as one that is unclear where it was called once and is taken since: by a call that nobody waits for', async () => {
    const sku = uniqueName('sku');
    base.service.onCall = (call) => { if (callsFor(sku).length === 1) call.break(); else call.answer(409, '{}', { 'retry-after': '0' }); };
    const id = await make([adjust(sku)]);
    await run(id);
    expect((await until(id, 'waiting')).question).toMatchObject({ kind: 'unclear', retry_after: expect.any(String) });
  });
  it('is not followed by another one where it failed and its gateway died before it could say so', async () => {
    const id = await make([adjust(uniqueName('sku')), adjust(uniqueName('sku'))]);
    await sql`update gateway.plan_steps set state = 'failed', status = 404 where plan_id = ${id} and number = 1`.execute(base.db);
    await sql`update gateway.plans set state = 'running' where id = ${id}`.execute(base.db);
    expect((await until(id, 'failed')).steps).toMatchObject([{ state: 'failed' }, { state: 'pending', attempts: 0 }]);
  });
  it('waits, instead of being tried for ever, where its operation is not known any more; and can be cancelled', async () => {
    const id = await make([adjust(uniqueName('sku'))]);
    await sql`update gateway.plan_steps set call = '{"operation":"gone"}' where plan_id = ${id}`.execute(base.db);
    await sql`update gateway.plans set state = 'running' where id = ${id}`.execute(base.db);
    expect((await until(id, 'waiting')).question).toMatchObject({ kind: 'unavailable', detail: expect.stringContaining('gone') });
    expect((await cancel(id)).body['state']).toBe('cancelled');
  });
  it('waits for its caller where the token of whoever ran the plan has ended, and calls nothing', async () => {
    const sku = uniqueName('sku');
    const id = await make([adjust(sku)]);
    await sql`update gateway.plans set state = 'running', caller_kind = 'user', caller_until = now() - interval '1 second' where id = ${id}`.execute(base.db);
    expect((await until(id, 'waiting')).question).toMatchObject({ kind: 'caller_ended' });
    expect(callsFor(sku)).toEqual([]);
    await sql`update gateway.plans set caller_kind = 'secret' where id = ${id}`.execute(base.db);
    expect((await run(id)).status).toBe(202);
    await until(id, 'done');
  });
});

describe('cancelling a plan', () => {
  it('before it runs, or while it waits, ends it; again changes nothing, and running it then neither', async () => {
    const [ready, waiting] = [await make([adjust(uniqueName('sku'))]), await make([synonym(uniqueName('term'))])];
    await leaveInterrupted(waiting, 1);
    await until(waiting, 'waiting');
    for (const id of [ready, waiting]) {
      expect((await cancel(id)).body).toMatchObject({ state: 'cancelled', question: null, ended_at: expect.any(String) });
      expect([(await cancel(id)).status, (await run(id)).body['state']]).toEqual([202, 'cancelled']);
    }
    expect((await read(waiting)).steps[0]?.state).toBe('unknown');
  });
  it('while a step is called lets that one end, and begins no other', async () => {
    const sku = uniqueName('sku');
    base.service.onCall = () => undefined;
    const id = await make([adjust(sku), adjust(sku)]);
    await run(id);
    const [call] = await eventually(() => { const calls = callsFor(sku); return calls.length === 1 && calls; });
    expect((await cancel(id)).body).toMatchObject({ state: 'cancelling' });
    call?.answer();
    expect((await until(id, 'cancelled')).steps).toMatchObject([{ state: 'done', status: 200 }, { state: 'pending', attempts: 0 }]);
    expect(callsFor(sku).length).toBe(1);
  });
  it('while its gateway is dead ends it by another one, and says that nobody knows of the step', async () => {
    const id = await make([adjust(uniqueName('sku'))]);
    await leaveInterrupted(id, 1);
    await sql`update gateway.plans set state = 'cancelling' where id = ${id}`.execute(base.db);
    expect((await until(id, 'cancelled')).steps).toMatchObject([{ state: 'unknown' }]);
  });
  it('after its end is refused', async () => {
    const id = await make([adjust(uniqueName('sku'))]);
    await run(id);
    await until(id, 'done');
    expect([(await cancel(id)).status, (await read(id)).state]).toEqual([409, 'done']);
  });
});

describe('records of an older holder', () => {
  it('are refused, all of them, and change nothing, also where the code forgets to compare', async () => {
    const id = await make([adjust(uniqueName('sku'))]);
    await sql`update gateway.plans set state = 'running', fence = 9e15 where id = ${id}`.execute(base.db);
    const [first, second] = [{ planId: id, fence: 9e15 + 1 }, { planId: id, fence: 9e15 + 2 }];
    expect(await claimPlan(base.db, first, 'first')).toBeDefined();
    expect(await startStep(base.db, first, 1)).toBe(true);
    expect(await claimPlan(base.db, second, 'second')).toBeDefined();
    expect(await claimPlan(base.db, first, 'first')).toBeUndefined();
    const answer = { status: 200, text: 'late', isTruncated: false };
    const before = await read(id);
    const records = [startStep(base.db, first, 1), endStep(base.db, first, 1, { state: 'done', answer }), endPlan(base.db, first, 'done'), ask(base.db, first, { step: 1, kind: 'unclear', detail: '', retry_after: null })];
    for (const late of records) await expect(late).rejects.toMatchObject({ name: 'LateRecordError' });
    await expect(sql`update gateway.plan_steps set fence = ${first.fence}, state = 'done' where plan_id = ${id}`.execute(base.db)).rejects.toThrow('is too late');
    expect(await read(id)).toEqual(before);
    await endStep(base.db, second, 1, { state: 'done', answer: { ...answer, text: 'in time' } });
    await endPlan(base.db, second, 'done');
    expect((await read(id)).steps[0]?.answer).toBe('in time');
  });
});

describe('a plan whose servers go away', () => {
  it('keeps what it knows while Postgres is away for a moment, and records it then', async () => {
    const sku = uniqueName('sku');
    base.service.onCall = () => undefined;
    const id = await make([adjust(sku, 1), adjust(sku, 2)]);
    await run(id);
    const [call] = await eventually(() => { const calls = callsFor(sku); return calls.length === 1 && calls; });
    base.tunnel.drop(true);
    base.service.onCall = (one) => one.answer();
    call?.answer();
    await eventually(() => base.tunnel.drops() > 2);
    base.tunnel.drop(false);
    expect(await until(id, 'done')).toMatchObject({ steps: [{ attempts: 1 }, { attempts: 1 }] });
    expect(callsFor(sku).length).toBe(2);
  });
  it('goes on when Redis is back, and calls nothing twice, although Redis has forgotten everything', async () => {
    lonely = await open({ redisUrl: own.url, leaseMs: 1_000 });
    const sku = uniqueName('sku');
    base.service.onCall = () => undefined;
    // Nobody else may take it meanwhile: the gateways share Postgres, not Redis, which two of them never do.
    await here.runner.close();
    const id = await make([adjust(sku, 1), adjust(sku, 2)]);
    await run(id, {}, lonely);
    const [call] = await eventually(() => { const calls = callsFor(sku); return calls.length === 1 && calls; });
    await own.kill();
    base.service.onCall = (one) => one.answer();
    call?.answer();
    await eventually(async () => (await read(id)).steps[0]?.state === 'done');
    await own.restart();
    expect(await until(id, 'done')).toMatchObject({ steps: [{ attempts: 1 }, { state: 'done' }] });
    expect(callsFor(sku).map(({ body }) => body)).toEqual(['{"delta":1}', '{"delta":2}']);
  });
  it('calls a step that was noted when its gateway is stopped: nobody is asked about what never began', async () => {
    // Nobody else may take it: see above.
    await Promise.all([here.runner.close(), lonely?.runner.close()]);
    const leaving = await open({ redisUrl: own.url });
    const [sku, term] = [uniqueName('sku'), uniqueName('term')];
    base.service.onCall = (call) => { if (!call.url.includes(sku)) call.answer(); };
    const id = await make([{ operation: 'getProduct', params: { sku } }, synonym(term)]);
    await sql`update gateway.plans set session_id = gen_random_uuid(), session_of = 'somebody' where id = ${id}`.execute(base.db);
    await run(id, {}, leaving);
    const [call] = await eventually(() => { const calls = callsFor(sku); return calls.length === 1 && calls; });
    // Between the record and the call the session is told, which takes as long as Redis does.
    own.pause();
    call?.answer();
    await eventually(async () => (await read(id)).steps[1]?.state === 'running');
    const closed = leaving.runner.close(60_000);
    own.resume();
    await closed;
    expect([(await read(id)).steps[1]?.state, callsFor(term).length]).toEqual(['done', 1]);
  });
});

describe('the log of plans', () => {
  it('holds no body and no token', () => {
    expect(base.logged.join('\n')).not.toMatch(/delta|eyJ/);
  });
});
