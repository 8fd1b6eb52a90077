import { connect } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { planSchema } from '@millrace/contracts';
import { eventually, testServer, uniqueName } from '@millrace/testing';
import { openPlanningBase } from './planning-gateway.ts';
import type { PlanningBase, PlanningGateway } from './planning-gateway.ts';

const closing: (() => unknown)[] = [];
const onClose = (step: () => unknown): void => void closing.push(step);
let base: PlanningBase;
let runs: PlanningGateway;
/** Another gateway than the one that runs the plan. */
let shows: PlanningGateway;
let key: string;

beforeAll(async () => {
  const opened = await openPlanningBase(onClose);
  ({ base } = opened);
  const redisUrl = testServer('redis');
  [runs, shows] = [await opened.openGateway({ redisUrl }), await opened.openGateway({ redisUrl, runs: false })];
  ({ key } = await base.makeKey(['plans', 'products:write']));
});
afterAll(async () => {
  for (const step of closing.toReversed()) await step();
});
afterEach(() => { base.service.onCall = (call) => call.answer(); });

const post = (path: string, body: unknown): Promise<Response> => fetch(runs.url + path, { method: 'POST', headers: { 'x-api-key': key, 'content-type': 'application/json' }, body: JSON.stringify(body) });
const make = async (sku: string, count: number): Promise<string> => planSchema.parse(await (await post('/api/plans', { steps: Array.from({ length: count }, () => ({ operation: 'adjustStock', params: { sku }, body: { delta: 1 } })) })).json()).id;
const follow = (id: string, lastEventId?: string): Promise<Response> => fetch(`${shows.url}/api/plans/${id}/events`, { headers: { 'x-api-key': key, ...(lastEventId !== undefined && { 'last-event-id': lastEventId }) }, signal: AbortSignal.timeout(20_000) });

interface Seen { readonly id: number; readonly event: string; readonly data: Record<string, unknown> }
const parse = (text: string): readonly Seen[] =>
  [...text.matchAll(/id: (\d+)\nevent: (\w+)\ndata: (.*)\n\n/g)].map(([, id, event = '', data = '']) => ({ id: Number(id), event, data: JSON.parse(data) }));
const short = (seen: readonly Seen[]): readonly string[] => seen.map(({ id, event, data }) => `${id} ${event} ${event === 'step' ? `${String(data['step'])} ` : ''}${String(data['state'])}`);
const whole = ['1 plan ready', '2 plan running', '3 step 1 running', '4 step 1 done', '5 step 2 running', '6 step 2 done', '7 plan done'];

describe('the events of a plan', () => {
  it('come from the beginning, whichever gateway runs it, with a comment while nothing happens, and end with it', async () => {
    const sku = uniqueName('sku');
    base.service.onCall = () => undefined;
    const id = await make(sku, 2);
    const answer = await follow(id);
    expect([answer.status, answer.headers.get('content-type'), answer.headers.get('cache-control')]).toEqual([200, 'text/event-stream; charset=utf-8', 'no-store']);
    let text = '';
    const end = (async () => { for await (const part of answer.body ?? []) text += Buffer.from(part).toString(); })();
    await eventually(() => text.includes(': heartbeat'));
    await post(`/api/plans/${id}/run`, {});
    await eventually(() => text.includes('"state":"running"') && base.service.calls.find(({ url }) => url.includes(sku)));
    base.service.onCall = (call) => call.answer();
    base.service.calls.find(({ url }) => url.includes(sku))?.answer();
    await end;
    expect(short(parse(text))).toEqual(whole);
    expect(text).not.toContain('"ok"');
  });
  it('go on after the last one that a client has, none twice and none left out, and say so where there are no more', async () => {
    const id = await make(uniqueName('sku'), 2);
    await post(`/api/plans/${id}/run`, {});
    for (const last of [0, 1, 3, 6]) expect(short(parse(await (await follow(id, String(last))).text()))).toEqual(whole.slice(last));
    expect([(await follow(id, '7')).status, (await follow(id, '99')).status, (await follow(id, 'x')).status]).toEqual([204, 204, 400]);
  });
  it('are sent to many at once, from where each of them was', async () => {
    const id = await make(uniqueName('sku'), 2);
    const texts = Promise.all(Array.from({ length: 20 }, async (_, n) => (await follow(id, n % 2 === 0 ? undefined : '3')).text()));
    await post(`/api/plans/${id}/run`, {});
    const seen = (await texts).map((text) => short(parse(text)));
    expect(seen).toEqual(Array.from({ length: 20 }, (_, n) => (n % 2 === 0 ? whole : whole.slice(3))));
  });
  it('that have ended behind another answer of the same connection harm nobody, and take no place of others', async () => {
    const [open, over] = [await make(uniqueName('sku'), 1), await make(uniqueName('sku'), 1)];
    await post(`/api/plans/${over}/run`, {});
    expect(short(parse(await (await follow(over)).text())).at(-1)).toContain('plan done');
    const socket = connect(Number(new URL(shows.url).port), '127.0.0.1');
    const head = (id: string): string => `GET /api/plans/${id}/events HTTP/1.1\r\nHost: x\r\nX-Api-Key: ${key}\r\n\r\n`;
    let text = '';
    socket.on('data', (part: Buffer) => { text += part.toString(); });
    socket.write(head(open) + head(over));
    await eventually(() => text.split(': heartbeat').length > 4);
    // Gone while their plans are looked up.
    for (let n = 0; n < 100; n += 1) {
      const gone = connect(Number(new URL(shows.url).port), '127.0.0.1');
      gone.on('error', () => undefined);
      gone.write(head(open), () => gone.resetAndDestroy());
    }
    expect(short(parse(await (await follow(over)).text()))).toEqual(['1 plan ready', '2 plan running', '3 step 1 running', '4 step 1 done', '5 plan done']);
    socket.destroy();
  });
  it('end where the plan is gone', async () => {
    const id = await make(uniqueName('sku'), 1);
    const answer = await follow(id);
    await base.db.deleteFrom('gateway.plans').where('id', '=', id).execute();
    expect(await answer.text()).toContain('retry:');
    expect((await follow(id)).status).toBe(404);
  });
});
