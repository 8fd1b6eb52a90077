import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { getSubscriber, lookupAnswerSchema, subscribersOfCluster, topOfService } from '@millrace/contracts';
import { sampleSubscriber, sampleSubscribers } from '@millrace/sample-subscribers';
import { maskIsdn } from '@millrace/subscribers';
import { eventually, uniqueName } from '@millrace/testing';
import { startPlane } from './lookup-kit.ts';
import type { Instance, Plane } from './lookup-kit.ts';

const COUNT = 1_200;
const one = sampleSubscriber(7);
const path = (isdn: string): string => encodeURIComponent(isdn);

describe('lookups', () => {
  let plane: Plane;
  let instance: Instance;
  beforeAll(async () => {
    plane = await startPlane();
    await plane.load({ count: COUNT });
    instance = await plane.startInstance();
  });
  afterAll(() => plane.close());

  it('answers recommendation, profile and months with gaps in one answer, masked', async () => {
    const { status, body } = await instance.call('GET', `/api/ut360/subscribers/${path(one.isdn)}?months=24`);
    expect(status).toBe(200);
    const { isdn, recommendation, arpu, freshness } = getSubscriber.responses[200].schema.parse(body);
    expect(isdn).toBe(maskIsdn(one.isdn));
    expect(recommendation).toEqual(one.recommendation);
    expect(arpu).toHaveLength(24);
    const known = new Map(one.months.map(({ data_month: month, arpu_total: total }) => [month.slice(0, 7), total]));
    expect(arpu.map(({ month, total }) => [month, total])).toEqual(arpu.map(({ month }) => [month, known.get(month) ?? null]));
    expect(arpu.at(-1)?.month).toBe('2026-10');
    expect(freshness.arpu).toMatchObject({ generation: 1, source: 'redis', loaded_at: expect.any(String) });
  });

  it('answers each block by itself, and 404 for who is not known', async () => {
    expect((await instance.call('GET', `/api/ut360/recommendations/${path(one.isdn)}`)).body).toMatchObject({ recommendation: one.recommendation });
    expect((await instance.call('GET', `/api/ut360/profiles/${path(one.isdn)}`)).body).toMatchObject({ profile: { kpi_scores: { customer_value: one.recommendation['customer_value_score'] } } });
    expect((await instance.call('GET', `/api/ut360/arpu/${path(one.isdn)}?months=1`)).body).toMatchObject({ arpu: [{ month: '2026-10' }] });
    for (const block of ['subscribers', 'recommendations', 'profiles', 'arpu']) expect((await instance.call('GET', `/api/ut360/${block}/nobody-of-this-name`)).status).toBe(404);
    expect((await instance.call('GET', '/api/ut360/subscribers/short')).body).toMatchObject({ code: 'invalid_request', pointer: '/isdn' });
    expect((await instance.call('GET', `/api/ut360/subscribers/${path(one.isdn)}?months=25`)).body).toMatchObject({ code: 'invalid_request', pointer: '/months' });
  });

  it('finds a number in every form of it, and a token with slash, plus and equals', async () => {
    const phone = sampleSubscriber(8).isdn;
    for (const form of [phone, `+${phone}`, `0${phone.slice(2)}`, `0${phone.slice(2, 5)} ${phone.slice(5)}`]) expect((await instance.call('GET', `/api/ut360/recommendations/${path(form)}`)).status).toBe(200);
    const token = [...sampleSubscribers({ count: COUNT })].find(({ isdn }) => isdn.includes('/') && isdn.includes('+'))?.isdn ?? '';
    const privileged = await plane.startInstance({}, ['ut360:read', 'pii:read']);
    expect((await privileged.call('GET', `/api/ut360/recommendations/${path(token)}?unmask=true`)).body).toMatchObject({ isdn: token });
  });

  it('answers the same, with the same headers, whether express is asked or not', async () => {
    const token = [...sampleSubscribers({ count: COUNT })].find(({ isdn }) => isdn.includes('/') && isdn.includes('+'))?.isdn ?? '';
    const paths = ['subscribers', 'recommendations', 'profiles', 'arpu'].flatMap((block) => [path(one.isdn), path(token), path(`+${sampleSubscriber(8).isdn}`), 'nobody-of-this-name', 'short', '%E0%A4%A', 'a%00bcdefghi', '%2e%2e%2f%2e%2e%2fx', 'x'.repeat(300)].map((isdn) => `/api/ut360/${block}/${isdn}`));
    for (const url of paths) {
      // A question mark alone is no parameter, and nothing that the short way takes.
      const [plain, express] = await Promise.all([url, `${url}?`].map((each) => instance.call('GET', each, undefined, { 'x-request-id': 'same', 'if-none-match': '*' })));
      const shown = (answer: typeof plain): unknown => ({ status: answer?.status, text: answer?.text, headers: [...(answer?.headers ?? [])].filter(([name]) => name !== 'date') });
      expect({ url, ...Object(shown(plain)) }).toEqual({ url, ...Object(shown(express)) });
      const head = await instance.call('HEAD', url);
      expect([url, head.status, head.text, head.headers.get('content-length')]).toEqual([url, express?.status, '', head.status === 200 ? express?.headers.get('content-length') : head.headers.get('content-length')]);
    }
  });

  it('looks up many in their order, and tells of those that are missing or no ISDNs', async () => {
    const isdns = [sampleSubscriber(3).isdn, 'x', 'nobody-of-this-name', sampleSubscriber(1).isdn, sampleSubscriber(3).isdn];
    const { status, body } = await instance.call('POST', '/api/ut360/lookup', { isdns, months: 2 });
    expect(status).toBe(200);
    const { data, missing, invalid } = lookupAnswerSchema.parse(body);
    expect(data.map(({ index }) => index)).toEqual([0, 3, 4]);
    expect(data[1]).toMatchObject({ isdn: maskIsdn(isdns[3] ?? ''), recommendation: sampleSubscriber(1).recommendation, arpu: [{ month: '2026-09' }, { month: '2026-10' }] });
    expect(missing).toEqual([{ index: 2, isdn: 'nobo***' }]);
    expect(invalid).toEqual([{ index: 1, reason: expect.stringContaining('must be') }]);
    expect((await instance.call('POST', '/api/ut360/lookup', { isdns: [] })).status).toBe(400);
  });

  it('streams more than a thousand as lines, with the rest in the last', async () => {
    const isdns = [...Array.from({ length: 1_100 }, (_none, at) => sampleSubscriber(at).isdn), 'nobody-of-this-name'];
    const { status, text } = await instance.call('POST', '/api/ut360/lookup', { isdns });
    const lines = text.trimEnd().split('\n').map((line): unknown => JSON.parse(line));
    expect([status, lines.length]).toEqual([200, 1_101]);
    expect(lines[1_099]).toMatchObject({ index: 1_099, recommendation: sampleSubscriber(1_099).recommendation });
    expect(lines[1_100]).toMatchObject({ missing: [{ index: 1_100 }], invalid: [] });
  });

  it('lists the highest priorities of a service, and whole clusters page by page', async () => {
    const all = [...sampleSubscribers({ count: COUNT })];
    const service = all.filter(({ recommendation }) => recommendation['service_type'] === 'DATA_ADVANCE');
    const { data, total } = topOfService.responses[200].schema.parse((await instance.call('GET', '/api/ut360/services/DATA_ADVANCE/top?limit=20')).body);
    expect(total).toBe(service.length);
    expect(data.map(({ recommendation }) => recommendation?.priority_score)).toEqual(service.map(({ recommendation }) => recommendation['priority_score']).toSorted((a, b) => Number(b) - Number(a)).slice(0, 20));
    expect((await instance.call('GET', '/api/ut360/services/NONE/top')).body).toMatchObject({ data: [], total: 0 });
    const seen = new Set<string>();
    let cursor: string | null = '';
    let pages = 0;
    while (cursor !== null) {
      const { data: members, page } = subscribersOfCluster.responses[200].schema.parse((await instance.call('GET', `/api/ut360/clusters/3?limit=50${cursor === '' ? '' : `&cursor=${cursor}`}`)).body);
      for (const { recommendation } of members) seen.add(JSON.stringify(recommendation));
      cursor = page.next;
      pages += 1;
    }
    expect(pages).toBeGreaterThan(2);
    expect(seen.size).toBe(new Set(all.filter(({ recommendation }) => recommendation['cluster_group'] === '3').map(({ recommendation }) => JSON.stringify(recommendation))).size);
    expect((await instance.call('GET', '/api/ut360/risk/NONE')).status).toBe(400);
    expect((await instance.call('GET', '/api/ut360/risk/LOW?cursor=bad')).status).toBe(400);
    expect((await instance.call('GET', '/api/ut360/services/a%00b/top')).body).toMatchObject({ code: 'invalid_request', pointer: '/type' });
  });

  it('lists what was loaded a moment ago, also in an instance that knew of nothing', async () => {
    const other = await startPlane();
    try {
      const early = await other.startInstance();
      expect((await early.call('GET', '/api/ut360/services/DATA_ADVANCE/top')).body).toMatchObject({ data: [], total: 0 });
      await other.load({ count: 50 });
      expect((await early.call('GET', '/api/ut360/services/DATA_ADVANCE/top?limit=2')).body).toMatchObject({ data: [{}, {}] });
      expect((await early.call('GET', `/api/ut360/subscribers/${path(one.isdn)}`)).status).toBe(200);
    } finally {
      await other.close();
    }
  });

  it('shows ISDNs only to who may see them, writes it down, and no more a day than the quota', async () => {
    expect((await instance.call('GET', `/api/ut360/subscribers/${path(one.isdn)}?unmask=true`)).body).toMatchObject({ code: 'forbidden' });
    await plane.stores.pool.query('truncate ut360.pii_reads');
    const privileged = await plane.startInstance({ UT360_PII_DAILY_QUOTA: '4' }, ['ut360:read', 'pii:read']);
    expect((await privileged.call('GET', `/api/ut360/subscribers/${path(one.isdn)}?unmask=true`)).body).toMatchObject({ isdn: one.isdn });
    expect((await privileged.call('POST', '/api/ut360/lookup', { isdns: [1, 2, 3, 4].map((at) => sampleSubscriber(at).isdn), unmask: true })).body).toMatchObject({ code: 'too_many_requests' });
    const { rows } = await plane.stores.pool.query('select subject, operation, isdns from ut360.pii_reads order by id');
    expect(rows).toEqual([{ subject: 'key_1', operation: 'getSubscriber', isdns: 1 }]);
  });

  it('fills back what Redis lost, remembers who does not exist, and asks Postgres once for many askers', async () => {
    const { redis, keys } = plane.stores;
    const victim = sampleSubscriber(11);
    const names = keys.subscribers(1);
    await redis.del(names.body(victim.isdn), names.profile(victim.isdn));
    const answers = await Promise.all(Array.from({ length: 20 }, () => instance.call('GET', `/api/ut360/subscribers/${path(victim.isdn)}`)));
    expect(answers.map(({ body }) => body['recommendation'])).toEqual(answers.map(() => victim.recommendation));
    expect(answers.some(({ body }) => JSON.stringify(body['freshness']).includes('postgres'))).toBe(true);
    // What could not be filled back is filled by the next reader.
    await eventually(async () => {
      await instance.call('GET', `/api/ut360/subscribers/${path(victim.isdn)}`);
      return (await redis.exists(names.body(victim.isdn))) === 1;
    });
    expect(await redis.ttl(names.body(victim.isdn))).toBeGreaterThan(3_000);
    expect((await instance.call('GET', `/api/ut360/subscribers/${path(victim.isdn)}`)).body).toMatchObject({ arpu: answers[0]?.body['arpu'], freshness: { profile: { source: 'redis' } } });
    await eventually(async () => {
      await instance.call('GET', '/api/ut360/subscribers/nobody-at-all');
      return (await redis.exists(names.absent('nobody-at-all'))) === 1;
    });
    const before = await instance.metric('ut360_subscribers_read_total', 'absent');
    expect((await instance.call('GET', '/api/ut360/subscribers/nobody-at-all')).status).toBe(404);
    expect(await instance.metric('ut360_subscribers_read_total', 'absent')).toBe(before + 1);
    // A list of strangers leaves a hundred markers, not five hundred.
    const strangers = await eventually(async () => {
      const list = uniqueName('stranger');
      const filled = await instance.metric('ut360_subscribers_read_total', 'filled');
      expect((await instance.call('POST', '/api/ut360/lookup', { isdns: Array.from({ length: 500 }, (_none, at) => `${list}-${at}`) })).status).toBe(200);
      await eventually(async () => (await instance.metric('ut360_subscribers_read_total', 'filled')) >= filled + 100, { timeoutMs: 5_000 });
      return list;
    });
    expect((await redis.keys(names.absent(`${strangers}-*`))).length).toBe(100);
  });

  it('never logs an ISDN', async () => {
    await instance.call('GET', `/api/ut360/subscribers/${path(one.isdn)}`);
    expect(instance.logs.filter((line) => line.includes(one.isdn) || line.includes(path(one.isdn)))).toEqual([]);
  });
});
