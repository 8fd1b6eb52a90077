import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import type { Experiment, ExperimentResults, ExperimentSettings } from '@millrace/contracts';
import { createKysely, createPool, migrateSchema } from '@millrace/database';
import { createHttpApp, setIdentity, startHttpServer } from '@millrace/http';
import type { HttpServer } from '@millrace/http';
import { createLogger } from '@millrace/service';
import { createTestDatabase, eventually } from '@millrace/testing';
import { sql } from 'kysely';
import { Registry } from 'prom-client';
import { variantOf } from '../src/bucket.ts';
import type { RecsSchema } from '../src/database.ts';
import { createErasedUsers } from '../src/erase-users.ts';
import { countForExperiments, eraseExperiments, insertShownLists, keepExperimentLog } from '../src/experiment-log.ts';
import { listExperiments, readExperimentRevision } from '../src/experiment.repository.ts';
import { experimentRoutes } from '../src/experiment.routes.ts';
import { openLiveExperiments } from '../src/live-experiments.ts';
import type { LiveExperiments } from '../src/live-experiments.ts';
import { migrations } from '../src/migrations/index.ts';
import { createRankingLog, purgeRankings, recordImpressions } from '../src/ranking-log.ts';
import { did } from './kit.ts';

const database = await createTestDatabase();
const pool = createPool({ url: database.url, name: 'test', max: 4 });
const db = createKysely<RecsSchema>(pool);
await migrateSchema(createKysely<unknown>(pool), migrations);
const logger = createLogger('test', 'silent');
const openLive = (over: Partial<Parameters<typeof openLiveExperiments>[0]> = {}): Promise<LiveExperiments> =>
  openLiveExperiments({ readRevision: () => readExperimentRevision(db), readAll: () => listExperiments(db), now: Date.now, logger, pollMs: 60_000, ...over });
/** Reads of the revision that fail from now on. */
let failingReads = 0;
const live = await openLive({ readRevision: async () => {
  if (failingReads === 0) return readExperimentRevision(db);
  failingReads -= 1;
  throw new Error('it broke off');
} });
const erased = createErasedUsers({ db, locking: db, secret: 'x'.repeat(32) });
const count = countForExperiments({ erased, live });
let server: HttpServer;

beforeAll(async () => {
  const routes = experimentRoutes({ db, locking: db, live, now: Date.now });
  server = await startHttpServer(createHttpApp({ logger, metrics: new Registry(), handlers: [(req, _res, next) => {
    setIdentity(req, { issuer: 'gateway', subject: 'test', scopes: ['admin'] });
    next();
  }, routes] }), { host: '127.0.0.1', port: 0 });
});
afterEach(async () => {
  await pool.query('delete from recs.experiments; delete from recs.experiment_lists; delete from recs.experiment_events; delete from recs.impressions; delete from recs.rankings; delete from recs.user_aliases; update recs.experiment_state set revision = revision + 1');
  await live.refresh();
});
afterAll(async () => {
  await server.close();
  await live.close();
  await pool.end();
  await database.drop();
});

interface Problem { code?: string; detail?: string; errors?: { pointer: string; detail: string }[] }
// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- the tests look at what is in it
async function call<B = Experiment>(method: string, path: string, body?: unknown): Promise<{ status: number; body: B & Problem }> {
  const answer = await fetch(`http://127.0.0.1:${server.port}/api/admin/experiments${path}`, { method, ...(body !== undefined && { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }) });
  const text = await answer.text();
  return { status: answer.status, body: (text === '' ? {} : JSON.parse(text)) as B & Problem };
}
const variants = (settings: ExperimentSettings = { category_boost: 1.2 }) => [{ key: 'control', weight: 1, settings: {} }, { key: 'other', weight: 1, settings }];
const draft = (key: string, over: object = {}) => call('POST', '', { key, description: 'a test', variants: variants(), ...over });
const running = async (key: string, over: object = {}): Promise<void> => {
  expect([(await draft(key, over)).status, (await call('POST', `/${key}/start`)).status]).toEqual([201, 200]);
};
const results = async (key: string): Promise<ExperimentResults> => (await call<ExperimentResults>('GET', `/${key}/results`)).body;
const signal = new AbortController().signal;

describe('experiments', () => {
  it('go from draft to running to stopped, each step safe to repeat and none back', async () => {
    expect((await draft('steps', { ends_at: '2099-01-01T00:00:00Z' })).body).toMatchObject({ key: 'steps', status: 'draft', audience: 1, conversion_days: 7, ends_at: '2099-01-01T00:00:00.000Z', started_at: null });
    expect((await call('POST', '/steps/stop')).status).toBe(409);
    expect((await call('PUT', '/steps', { description: 'other', variants: variants() })).body).toMatchObject({ description: 'other', ends_at: null });
    const first = await call('POST', '/steps/start');
    expect((await call('POST', '/steps/start')).body).toEqual(first.body);
    expect((await call('PUT', '/steps', { description: 'other weights', variants: variants() })).body).toMatchObject({ code: 'conflict' });
    expect((await call('DELETE', '/steps')).status).toBe(409);
    expect((await call('POST', '/steps/stop')).body).toMatchObject({ status: 'stopped' });
    expect([(await call('POST', '/steps/stop')).status, (await call('POST', '/steps/start')).status]).toEqual([200, 409]);
    expect((await call<{ data: Experiment[] }>('GET', '?status=stopped')).body.data.map(({ key }) => key)).toEqual(['steps']);
    expect([(await call('DELETE', '/steps')).status, (await call('GET', '/steps')).status, (await call('GET', '/steps/results')).status]).toEqual([204, 404, 404]);
  });
  it('of the same key or the same running knob are refused, and change nothing', async () => {
    await running('one');
    expect((await draft('one')).body).toMatchObject({ code: 'duplicate', errors: [{ pointer: '/key' }] });
    await draft('two');
    expect((await call('POST', '/two/start')).body.detail).toContain('one turns category_boost');
    expect((await call('GET', '/two')).body.status).toBe('draft');
    await running('three', { variants: variants({ diversity: 0.5 }) });
    await running('later', { starts_at: '2098-01-01T00:00:00Z', variants: variants({ personalize: false }) });
    await running('sooner', { ends_at: '2098-01-01T00:00:00Z', variants: variants({ personalize: true }) });
    expect(new Set(live.assign('u').experiments.map(({ key }) => key))).toEqual(new Set(['one', 'three', 'sooner']));
  });
  it('that start at the same moment on two instances do not both turn a knob', async () => {
    await Promise.all(['a', 'b', 'c', 'd'].map((key) => draft(key)));
    const started = await Promise.all(['a', 'b', 'c', 'd'].map((key) => call('POST', `/${key}/start`)));
    expect(started.map(({ status }) => String(status)).toSorted()).toEqual(['200', '409', '409', '409']);
  });
  it.each<[object, string]>([
    [{ key: 'Bad Key' }, '/key'], [{ variants: [variants()[0]] }, '/variants'], [{ variants: [...variants(), variants()[1]] }, '/variants/2/key'], [{ variants: variants({ categry_boost: 1 } as object) }, '/variants/1/settings/categry_boost'],
    [{ variants: variants({ diversity: 1.5 }) }, '/variants/1/settings/diversity'], [{ variants: variants({ without: ['newest'] } as object) }, '/variants/1/settings/without/0'], [{ variants: [{ key: 'a', weight: 0, settings: {} }, ...variants()] }, '/variants/0/weight'],
    [{ audience: 0 }, '/audience'], [{ audience: 1.1 }, '/audience'], [{ starts_at: '2030-01-02T00:00:00Z', ends_at: '2030-01-01T00:00:00Z' }, '/ends_at'], [{ starts_at: 'tomorrow' }, '/starts_at'], [{ conversion_days: 0 }, '/conversion_days'], [{ description: ' ' }, '/description'], [{ wieght: 1 }, '/wieght'],
  ])('with %j are refused with a pointer', async (over, pointer) => {
    const { status, body } = await draft('bad', over);
    expect([status, body.code, body.errors?.[0]?.pointer]).toEqual([400, 'invalid_request', pointer]);
    expect((await call('GET', '/bad')).status).toBe(404);
  });
});

describe('what is in force', () => {
  it('is so at once on the instance that was asked, and on others within a second, start and stop', async () => {
    jest.useFakeTimers({ doNotFake: ['Date', 'hrtime', 'nextTick', 'performance', 'queueMicrotask', 'setImmediate', 'clearImmediate', 'setTimeout', 'clearTimeout'] });
    try {
      const other = await openLiveExperiments({ readRevision: () => readExperimentRevision(db), readAll: () => listExperiments(db), now: Date.now, logger });
      await running('shared');
      expect([live.assign('u').experiments.length, other.assign('u').experiments.length]).toEqual([1, 0]);
      // Again and again: one reading may fail in passing.
      await eventually(async () => {
        jest.advanceTimersByTime(1_000);
        return other.assign('u').experiments.length === 1;
      });
      expect(other.assign('u')).toEqual(live.assign('u'));
      await call('POST', '/shared/stop');
      expect(live.assign('u').experiments).toEqual([]);
      await eventually(async () => {
        jest.advanceTimersByTime(1_000);
        return other.assign('u').experiments.length === 0;
      });
      await other.close();
    } finally {
      jest.useRealTimers();
    }
  });
  it('is so at once although one reading failed in passing, and 503 says where none came through', async () => {
    await draft('passing');
    failingReads = 1;
    expect((await call('POST', '/passing/start')).status).toBe(200);
    expect(live.assign('u').experiments).toHaveLength(1);
    failingReads = 2;
    expect(await call('POST', '/passing/stop')).toMatchObject({ status: 503, body: { code: 'unavailable' } });
    expect((await call('POST', '/passing/stop')).body.status).toBe('stopped');
    expect(live.assign('u').experiments).toEqual([]);
  });
  it('stays the last known while Postgres is away, and nobody waits for it', async () => {
    await running('stays');
    let isAway = false;
    const other = await openLive({ readRevision: async () => { if (isAway) throw new Error('away'); return await readExperimentRevision(db); } });
    isAway = true;
    expect([await other.refresh(), other.assign('u').experiments.length]).toEqual([false, 1]);
    await other.close();
  });
  it('is a variant of the audience within the period, with the settings of all its experiments', async () => {
    let nowMs = Date.parse('2030-06-01T00:00:00Z');
    await running('half', { audience: 0.5, starts_at: '2030-05-01T00:00:00Z', ends_at: '2030-07-01T00:00:00Z', variants: [{ key: 'all', weight: 1, settings: { diversity: 0.4 } }, { key: 'none', weight: 1, settings: { diversity: 0.4 } }] });
    await running('full', { variants: [{ key: 'x', weight: 1, settings: { similar: 0 } }, { key: 'y', weight: 1, settings: { similar: 0 } }] });
    const other = await openLive({ now: () => nowMs });
    const users = Array.from({ length: 400 }, (_, n) => `user-${n}`);
    const inHalf = (user: string): boolean => other.assign(user).experiments.some(({ key }) => key === 'half');
    const share = users.filter(inHalf).length / users.length;
    expect([share > 0.4, share < 0.6]).toEqual([true, true]);
    expect(other.assign(users.find(inHalf)).settings).toEqual({ diversity: 0.4, similar: 0 });
    expect(other.assign(undefined)).toEqual({ experiments: [], settings: {} });
    for (const time of ['2030-04-30T23:59:59Z', '2030-07-01T00:00:00Z']) {
      nowMs = Date.parse(time);
      expect(users.some(inHalf)).toBe(false);
    }
    await other.close();
  });
});

/** Users of each variant, as the buckets have them. */
function usersOf(key: string, variant: string, wanted: number): string[] {
  const found: string[] = [];
  for (let n = 0; found.length < wanted; n += 1) if (variantOf({ key, audience: 1, variants: variants() }, `u${n}`)?.key === variant) found.push(`u${n}`);
  return found;
}
const rankingId = (n: number): string => `018f2f4e-7c7a-7cc0-9a41-${String(n).padStart(12, '0')}`;

describe('results', () => {
  it('count lists, seen lists, clicked lists and buyers of each variant, each event once', async () => {
    await running('counts', { conversion_days: 2 });
    const log = createRankingLog({ logger, metrics: new Registry(), erased });
    const users = [...usersOf('counts', 'control', 20), ...usersOf('counts', 'other', 20)];
    const servedAtMs = Date.now() - 3 * 86_400_000;
    const at = (days: number) => ({ atMs: servedAtMs + days * 86_400_000 });
    users.forEach((userId, n) => log.add({ rankingId: rankingId(n), userId, kind: 'recommendations', servedAtMs, items: [{ sku: 'a', stage: 'newest' }], experiments: live.assign(userId).experiments }));
    await log.close();
    for (const n of [0, 1, 2, 20, 21]) await recordImpressions(db, rankingId(n), [{ sku: 'a', position: 0 }]);
    const click = (user: number, list: number) => ({ ...did(users[user] ?? '', 'click', 'a'), ranking_id: rankingId(list) });
    const events = [
      click(0, 0), click(0, 0), click(20, 20), click(21, 21), click(5, 5), { ...did('u0', 'click', 'a'), ranking_id: 'no uuid' },
      did(users[0] ?? '', 'purchase', 'a', at(1)), did(users[0] ?? '', 'purchase', 'b', at(1.5)), did(users[20] ?? '', 'purchase', 'a', at(0)), did(users[21] ?? '', 'purchase', 'a', at(2.01)), did(users[22] ?? '', 'purchase', 'a', at(-0.1)), did(users[23] ?? '', 'view', 'a', at(1)),
    ];
    await count(events, { signal, partition: 0 });
    await count(events.toReversed(), { signal, partition: 0 });
    const [control, other] = (await results('counts')).variants;
    expect(control).toMatchObject({ key: 'control', users: 20, open_users: 0, lists: 20, lists_seen: 3, lists_clicked: 1, buyers: 1, click_rate: { value: 1 / 3 }, click_rate_difference: null, conversion: { value: 0.05 }, conversion_difference: null });
    expect(other).toMatchObject({ key: 'other', users: 20, lists: 20, lists_seen: 2, lists_clicked: 2, buyers: 1, click_rate: { value: 1 }, conversion_difference: { value: 0, excludes_zero: false } });
  });
  it('have a click and a purchase that came before their list was written', async () => {
    await running('early');
    const [user = ''] = usersOf('early', 'control', 1);
    const nowMs = Date.now();
    await count([{ ...did(user, 'click', 'a'), ranking_id: rankingId(1) }, did(user, 'purchase', 'a', { atMs: nowMs + 1_000 })], { signal, partition: 0 });
    await recordImpressions(db, rankingId(1), [{ sku: 'a', position: 0 }]);
    await insertShownLists(db, [{ rankingId: rankingId(1), userId: user, servedAtMs: nowMs, experiments: live.assign(user).experiments }]);
    expect((await results('early')).variants[0]).toMatchObject({ users: 1, lists_seen: 1, lists_clicked: 1, buyers: 1, open_users: 1 });
  });
  it('take merged names for one user, of the variant that was shown first', async () => {
    await running('merged', { conversion_days: 2 });
    const [[anonymous = ''], [member = '']] = [usersOf('merged', 'control', 1), usersOf('merged', 'other', 1)];
    const nowMs = Date.now();
    const list = (n: number, userId: string, servedAtMs: number) => ({ rankingId: rankingId(n), userId, servedAtMs, experiments: live.assign(userId).experiments });
    await insertShownLists(db, [list(1, anonymous, nowMs - 5_000), list(2, member, nowMs - 1_000)]);
    await count([did(member, 'purchase', 'a', { atMs: nowMs - 3_000 })], { signal, partition: 0 });
    expect((await results('merged')).variants).toMatchObject([{ users: 1, buyers: 0 }, { users: 1, buyers: 0 }]);
    await sql`insert into recs.user_aliases (alias, user_id) values (${anonymous}, ${member})`.execute(db);
    expect((await results('merged')).variants).toMatchObject([{ users: 1, lists: 1, buyers: 1 }, { users: 0, lists: 0, buyers: 0 }]);
  });
  it('say when users are not divided by the weights, and that looking early proves nothing', async () => {
    await running('skewed');
    const skewed = Array.from({ length: 300 }, (_, n) => ({ rankingId: rankingId(n), userId: `s${n}`, servedAtMs: Date.now(), experiments: [{ key: 'skewed', variant: n < 200 ? 'control' : 'other' }] }));
    await insertShownLists(db, skewed);
    const { sample_ratio: ratio, final: isFinal, notes } = await results('skewed');
    expect([ratio?.mismatch, isFinal, notes.length]).toEqual([true, false, 4]);
    expect(notes.join(' ')).toContain('one look at a time that was fixed before');
  });
  it('of an experiment that nobody has seen are empty, and not an error', async () => {
    await draft('empty');
    expect(await results('empty')).toMatchObject({ final: false, sample_ratio: null, sample_size: { conversion: null }, variants: [{ users: 0, click_rate: null, conversion: null }, { users: 0, click_rate: null, conversion_difference: null }] });
  });
  it('count what happens after a start on another instance, and nothing where no experiment is', async () => {
    await count([did('u1', 'purchase', 'a')], { signal, partition: 0 });
    const other = await openLive();
    await running('fresh');
    await countForExperiments({ erased, live: other })([did('u1', 'purchase', 'b')], { signal, partition: 0 });
    expect((await db.selectFrom('recs.experiment_events').selectAll().execute()).length).toBe(1);
    await other.close();
  });
  it('are not acknowledged while Postgres is away', async () => {
    const away = { ...live, refresh: async () => false };
    await expect(countForExperiments({ erased, live: away })([did('u1', 'purchase', 'b')], { signal, partition: 0 })).rejects.toThrow('cannot be read now');
  });
});

describe('the log of experiments', () => {
  const fill = async (): Promise<void> => {
    await running('kept');
    await insertShownLists(db, ['x', 'y'].map((userId, n) => ({ rankingId: rankingId(n), userId, servedAtMs: Date.now(), experiments: live.assign(userId).experiments })));
    await recordImpressions(db, rankingId(0), [{ sku: 'a', position: 0 }]);
    await count(['x', 'y'].map((user) => did(user, 'purchase', 'a', { atMs: Date.now() + 1_000 })), { signal, partition: 0 });
  };
  it('knows seen lists after their impressions have gone, and goes itself after its time', async () => {
    await fill();
    expect(await keepExperimentLog(db, 180)).toBe(0);
    await sql`update recs.impressions set seen_at = now() - interval '31 days'`.execute(db);
    await purgeRankings(db, 30);
    const seen = (await results('kept')).variants.reduce((sum, variant) => sum + variant.lists_seen, 0);
    await sql`update recs.experiment_lists set served_at = now() - interval '181 days'`.execute(db);
    expect([seen, await keepExperimentLog(db, 180), await keepExperimentLog(db, 180)]).toEqual([1, 2, 0]);
  });
  it('holds nothing of erased users, and erasing again finds nothing', async () => {
    await fill();
    const erase = async (users: readonly string[]): Promise<number> => (await eraseExperiments(db, 'recs.experiment_lists', users)) + (await eraseExperiments(db, 'recs.experiment_events', users));
    expect([await erase(['x', 'nobody']), await erase(['x']), await erase([])]).toEqual([2, 0, 0]);
    expect((await results('kept')).variants.reduce((sum, { users }) => sum + users, 0)).toBe(1);
  });
  it('takes nothing of erased users any more', async () => {
    await erased.add(['x']);
    await fill();
    expect(await eraseExperiments(db, 'recs.experiment_events', ['x'])).toBe(0);
  });
});
