import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createRedisStreamsBus } from '@millrace/bus';
import { erasureReceipts, erasureSchema, interactions, loggedEventsSchema, userErasures, userMerges } from '@millrace/contracts';
import type { ErasureBody } from '@millrace/contracts';
import { createPool, inTransaction } from '@millrace/database';
import { closeRedis, connectRedis, createKeys } from '@millrace/redis-kit';
import type { Redis } from '@millrace/redis-kit';
import { createLogger, createMetrics } from '@millrace/service';
import { eventually, findEverywhere, uniqueName } from '@millrace/testing';
import { openErasedUsers } from '../src/erased-users.ts';
import { advanceErasure } from '../src/erasure-job.ts';
import { startErasureLoop } from '../src/erasure-loop.ts';
import { findErasureJob, recordErasure } from '../src/erasure.repository.ts';
import { createMonthPartitions } from '../src/month-partitions.ts';
import { LOCK_NAMES } from '../src/user-names.ts';
import { startPlane, WRITER } from './ingest-kit.ts';
import type { Instance, Plane } from './ingest-kit.ts';

const SECRET = { USER_ERASURE_SECRET: 's'.repeat(32), ERASURE_REPEAT_MS: '300' };
const view = (userId: string, asin = 'P-1') => ({ user_id: userId, asin, event_type: 'view', metadata: { note: 'x' } });

describe('erasing a user', () => {
  let plane: Plane;
  let first: Instance;
  let second: Instance;
  let redis: Redis;
  beforeAll(async () => {
    plane = await startPlane();
    redis = connectRedis(plane.redis.url, { role: 'background', name: 'test' });
    [first, second] = [await plane.startInstance(SECRET), await plane.startInstance(SECRET)];
    await first.startWriter();
  });
  afterAll(async () => {
    await closeRedis(redis);
    await plane.close();
  });
  const show = async (answer: { body: unknown }): Promise<ErasureBody> => erasureSchema.parse((await first.call('GET', `/api/admin/erasures/${erasureSchema.parse(answer.body).job}`)).body);
  const erase = async (id: string, by = first): Promise<ErasureBody> => {
    const asked = await by.call('DELETE', `/api/users/${id}`);
    expect(asked.status).toBe(202);
    return eventually(async () => {
      const job = await show(asked);
      return job.state === 'done' && job;
    });
  };
  const erasedOf = ({ receipts }: ErasureBody): Record<string, number> => Object.fromEntries(receipts.flatMap(({ store, erased }) => (erased > 0 ? [[store, erased]] : [])));
  const rowsOf = async (id: string): Promise<number> => (await plane.pool.query('select 1 from events.interaction_logs where user_id = $1', [id])).rowCount ?? 0;

  it('leaves nothing of the id and of its names in any table, key and stream, and says what there was', async () => {
    const [id, alias] = [uniqueName('person'), uniqueName('anon')];
    for (const user of [id, alias]) await first.call('POST', '/api/event', view(user));
    await eventually(async () => (await rowsOf(id)) === 1 && (await rowsOf(alias)) === 1);
    await first.call('POST', `/api/users/${id}/merge`, { from: alias });
    await eventually(async () => (await redis.xlen(userMerges.name)) > 0);
    await first.call('POST', '/api/event', { ...view(id), event_type: 'no such type' });
    await eventually(async () => (await plane.pool.query('select 1 from events.quarantine where user_id = $1', [id])).rowCount === 1);
    await redis.xadd(`${interactions.name}:dlq:${WRITER}`, '*', 'reason', 'r', 'source_id', '1-1', 'group', WRITER, 'consumer', 'c', 'attempts', '4', 'first_seen', 't', 'last_seen', 't', 'event_type', 'view', 'user_id', alias);
    expect((await findEverywhere(plane.pool, redis, id)).length).toBeGreaterThan(5);
    const job = await erase(alias);
    expect(job).toMatchObject({ phase: 'done', names: 2, waiting_for: [] });
    expect(job.finished_at).not.toBeNull();
    expect(erasedOf(job)).toMatchObject({ 'events.interaction_logs': 2, 'events.users': 2, 'events.user_aliases': 1, 'events.outbox': 1, 'events.quarantine': 1, [userMerges.name]: 1, 'dead letters': 1 });
    expect(job.receipts.every(({ found, erased, due }) => found === erased && due === 0)).toBe(true);
    for (const name of [id, alias]) expect(await findEverywhere(plane.pool, redis, name)).toEqual([]);
  });

  it('answers reads, and takes events, while others hold back erasures and merges, which end with 503 and can be sent again', async () => {
    const [id, reader] = [uniqueName('held'), uniqueName('reader')];
    const { job } = erasureSchema.parse((await first.call('DELETE', `/api/users/${uniqueName('before')}`)).body);
    const other = await plane.pool.connect();
    // An instance that stands still in the middle of a merge.
    await other.query('begin');
    await other.query(LOCK_NAMES);
    await eventually(async () => {
      let ended = 0;
      const waiting = Array.from({ length: 4 }, (_none, at) => [first.call('DELETE', `/api/users/${id}-${at}`), first.call('POST', `/api/users/${id}/merge`, { from: `${id}-anon-${at}` })]).flat().map((call) => call.finally(() => (ended += 1)));
      await eventually(async () => (await plane.pool.query(`select 1 from pg_stat_activity where datname = current_database() and wait_event = 'advisory'`)).rowCount === 4);
      const answers = await Promise.all([first.call('GET', `/api/admin/erasures/${job}`), first.call('POST', '/api/event', view(reader)), first.call('GET', `/api/users/${reader}/context`)]);
      const isBefore = ended === 0;
      const refused = await Promise.all(waiting);
      expect([answers.map(({ status }) => status), new Set(refused.map(({ status, body }) => `${status} ${String(body['code'])}`))]).toEqual([[200, 200, 200], new Set(['503 unavailable'])]);
      // A read that needed what they hold would be answered behind the first of them.
      return isBefore;
    }, { timeoutMs: 60_000 });
    await other.query('rollback');
    other.release();
    expect((await first.call('POST', `/api/users/${id}/merge`, { from: `${id}-anon-0` })).status).toBe(200);
    expect((await erase(id)).names).toBe(2);
  });

  it('answers later events of every name 410, alone in a list, on every instance, and never writes them', async () => {
    const [id, alias] = [uniqueName('late'), uniqueName('anon')];
    await first.call('POST', `/api/users/${id}/merge`, { from: alias });
    await erase(id);
    for (const instance of [second, first]) {
      for (const name of [id, alias]) expect(await instance.call('POST', '/api/event', view(name))).toMatchObject({ status: 410, type: expect.stringContaining('application/problem+json'), body: { code: 'gone', pointer: '/user_id' } });
      const { accepted, failed, results } = loggedEventsSchema.parse((await instance.call('POST', '/api/events', [view('somebody'), view(alias), view('somebody')])).body);
      expect([accepted, failed, results[1]]).toEqual([2, 1, { index: 1, success: false, code: 'gone', pointer: '/user_id', detail: expect.stringContaining('erased') }]);
    }
    expect(await first.call('POST', `/api/users/${id}/merge`, { from: 'other' })).toMatchObject({ status: 410, body: { code: 'gone' } });
    expect(await first.call('POST', '/api/users/other/merge', { from: alias })).toMatchObject({ status: 410 });
    expect(await findEverywhere(plane.pool, redis, alias)).toEqual([]);
    // Refused as invalid, and of an erased user: kept nowhere.
    expect(await second.call('POST', '/api/event', { ...view(id), event_type: 'no such type' })).toMatchObject({ status: 400 });
    await second.call('POST', '/api/event', { ...view('somebody'), event_type: 'no such type' });
    await eventually(async () => (await plane.pool.query(`select 1 from events.quarantine where user_id = 'somebody'`)).rowCount === 1);
    expect(await findEverywhere(plane.pool, redis, id)).toEqual([]);
    // What got into the stream all the same, such as a dead letter that is replayed.
    const before = await first.metric('events_erased_total');
    await first.bus.publish(interactions, [id, 'somebody'].map((user) => ({ type: 'view', user_id: user, asin: 'P-1', month: '2026-11', category: null, brand: null, metadata: {}, meta: { id: `replayed-${user}`, timestamp: '2026-11-02T08:00:00.000Z' } })));
    await eventually(async () => (await plane.pool.query(`select 1 from events.interaction_logs where event_id = 'replayed-somebody'`)).rowCount === 1 && (await first.metric('events_erased_total')) > before);
    expect([await rowsOf(id), await first.metric('events_erased_total')]).toEqual([0, before + 1]);
  });

  it('shows the same job when it is asked again, by any name, and has one with zeros for a user that never was', async () => {
    const id = uniqueName('nobody');
    const job = await erase(id);
    expect(erasedOf(job)).toEqual({});
    const again = await second.call('DELETE', `/api/users/${id}`);
    expect(again).toMatchObject({ status: 202, body: { job: job.job, state: 'done' } });
    const both = await Promise.all([first, second, first].map((instance) => instance.call('DELETE', `/api/users/twice-${id}`)));
    expect(new Set(both.map(({ body }) => body['job'])).size).toBe(1);
    expect(await first.call('GET', '/api/admin/erasures/0b9f6f0e-6d5b-4a3e-9f0e-3f1f4c8f6b1e')).toMatchObject({ status: 404 });
    expect(await first.call('GET', '/api/admin/erasures/x')).toMatchObject({ status: 400 });
    expect(await first.call('DELETE', `/api/users/${'x'.repeat(201)}`)).toMatchObject({ status: 400 });
  });

  it('erases what was accepted before and would be written after, and an event that a consumer holds is acknowledged, not lost', async () => {
    const id = uniqueName('flying');
    await redis.xgroup('CREATE', interactions.name, 'slow', '$', 'MKSTREAM');
    const accepted = await first.call('POST', '/api/event', view(id));
    expect(accepted.status).toBe(200);
    await eventually(async () => (await redis.xreadgroup('GROUP', 'slow', 'c', 'COUNT', 1, 'STREAMS', interactions.name, '>')) !== null);
    const asked = await first.call('DELETE', `/api/users/${id}`);
    const waiting = await eventually(async () => {
      const job = await show(asked);
      return job.phase === 'draining' && job.waiting_for.length > 0 && job;
    });
    expect(waiting).toMatchObject({ state: 'running', waiting_for: ['1 events that a consumer has not acknowledged yet'] });
    expect(waiting.receipts.find(({ store }) => store === interactions.name)).toMatchObject({ found: 1, erased: 0, due: 1 });
    // Its patience ends.
    await plane.pool.query(`update events.erasures set requested_at = now() - interval '1 day' where job = $1`, [waiting.job]);
    const done = await eventually(async () => {
      const job = await show(asked);
      return job.state === 'done' && job;
    });
    expect(done.receipts.find(({ store }) => store === interactions.name)).toMatchObject({ found: 1, erased: 1, due: 0 });
    expect(await redis.call('XPENDING', [interactions.name, 'slow'])).toEqual([0, null, null, null]);
    await redis.xgroup('DESTROY', interactions.name, 'slow');
    expect(await rowsOf(id)).toBe(0);
  });
});

describe('erasing a user while something is away', () => {
  it('goes on where it was killed, at every step, and counts no row twice', async () => {
    const plane = await startPlane();
    const bus = createRedisStreamsBus({ connect: (role) => connectRedis(plane.redis.url, { role, name: 'test' }) });
    const pool = createPool({ url: plane.databaseUrl, name: 'test', max: 3 });
    const redis = connectRedis(plane.redis.url, { role: 'background', name: 'test' });
    const secret = 'k'.repeat(32);
    const erased = await openErasedUsers(pool, secret, createMetrics('test'));
    const deps = { redis, keys: createKeys(), bus, erased, services: [], patienceMs: 60_000, repeatMs: 100 };
    const failed: string[] = [];
    // Each phase does all that it does, and is killed before its transaction commits.
    const loop = startErasureLoop({
      pool, pollMs: 20, metrics: createMetrics('test'), logger: createLogger('test', 'silent'),
      advance: async (client, job) => {
        const progress = await advanceErasure(deps, client, job);
        if (failed.includes(job.phase)) return progress;
        failed.push(job.phase);
        throw new Error('killed');
      },
    });
    try {
      const id = uniqueName('long');
      await createMonthPartitions(pool).ensure(new Set(['2026-11-01']));
      await pool.query(`with new_user as (insert into events.users (user_id) values ($1)) insert into events.items (sku) values ('A')`, [id]);
      await pool.query(`insert into events.interaction_logs (event_id, user_id, asin, event_type, ts, metadata, month) select 'e' || n, $1, 'A', 'view', now(), '{}', '2026-11-01' from generate_series(1, 25001) as n`, [id]);
      const { hmac } = erased;
      const job = hmac && (await inTransaction(pool, (client) => recordErasure(client, hmac, id)));
      loop.wake();
      const done = await eventually(async () => {
        const now = await findErasureJob(pool, job ?? '');
        return now?.state === 'done' && now;
      });
      expect(failed).toEqual(['marking', 'erasing', 'draining', 'again', 'checking']);
      expect(done.receipts.find(({ store }) => store === 'events.interaction_logs')).toMatchObject({ erased: 25_001, due: 0 });
      expect(await findEverywhere(plane.pool, redis, id)).toEqual([]);
    } finally {
      await loop.close();
      await bus.close();
      await closeRedis(redis);
      await pool.end();
      await plane.close();
    }
  });

  it('looks again at once where a job was recorded while a step ran that failed', async () => {
    const plane = await startPlane();
    const pool = createPool({ url: plane.databaseUrl, name: 'test', max: 3 });
    const { hmac } = await openErasedUsers(pool, 'w'.repeat(32), createMetrics('test'));
    const record = async (): Promise<string | undefined> => hmac && (await inTransaction(pool, (client) => recordErasure(client, hmac, uniqueName('woken'))));
    const first = await record();
    const seen: string[] = [];
    let second: string | undefined;
    const loop = startErasureLoop({
      pool, pollMs: 3_600_000, metrics: createMetrics('test'), logger: createLogger('test', 'silent'),
      advance: async (_client, { job }) => {
        seen.push(job);
        if (job !== first) return { phase: 'done', waitingFor: [], delayMs: 0 };
        second = await record();
        loop.wake();
        throw new Error('failed');
      },
    });
    try {
      await eventually(() => seen.length === 2);
      expect(seen).toEqual([first, second]);
    } finally {
      await loop.close();
      await pool.end();
      await plane.close();
    }
  });

  it('says that it waits for Redis, goes on when it is back, and drops events that came meanwhile by Postgres', async () => {
    const plane = await startPlane();
    try {
      const instance = await plane.startInstance(SECRET);
      await instance.startWriter();
      const id = uniqueName('away');
      await instance.call('POST', '/api/event', view(id));
      await eventually(async () => (await plane.pool.query('select 1 from events.interaction_logs')).rowCount === 1);
      await plane.redis.kill();
      expect(await instance.call('POST', '/api/event', view(id, 'P-2'))).toMatchObject({ status: 200, body: { context: 'deferred' } });
      const asked = await instance.call('DELETE', `/api/users/${id}`);
      const path = `/api/admin/erasures/${erasureSchema.parse(asked.body).job}`;
      const job = async (): Promise<ErasureBody> => erasureSchema.parse((await instance.call('GET', path)).body);
      await eventually(async () => (await job()).waiting_for[0] === 'Redis');
      expect(await instance.call('POST', '/api/event', view(id, 'P-3'))).toMatchObject({ status: 410 });
      await plane.redis.restart();
      const done = await eventually(async () => {
        const now = await job();
        return now.state === 'done' && now;
      });
      expect(done.receipts.find(({ store }) => store === 'events.interaction_logs')).toMatchObject({ erased: 2 });
      expect((await plane.pool.query('select 1 from events.users where user_id = $1', [id])).rowCount).toBe(0);
    } finally {
      await plane.close();
    }
  });

  it('waits for each service that has user data, asks again until nothing is due, and adds up what they answer, each attempt once', async () => {
    const plane = await startPlane();
    try {
      const instance = await plane.startInstance(SECRET, ['recommender']);
      const id = uniqueName('asked');
      const asked = await instance.call('DELETE', `/api/users/${id}`);
      const job = async (): Promise<ErasureBody> => erasureSchema.parse((await instance.call('GET', `/api/admin/erasures/${erasureSchema.parse(asked.body).job}`)).body);
      await eventually(async () => (await job()).waiting_for[0] === 'receipts of recommender');
      const attempts: number[] = [];
      await instance.bus.subscribe(userErasures, { group: 'recommender' }, async (events) => {
        for (const { attempt, job: of, users } of events) {
          expect(users).toEqual([id]);
          attempts.push(attempt);
          const due = attempts.length === 1 ? 1 : 0;
          const receipt = { type: 'erased' as const, job: of, attempt, service: 'recommender', stores: [{ store: 'counts', found: 1, erased: 1 - due, due }] };
          await instance.bus.publish(erasureReceipts, [receipt]);
          await instance.bus.publish(erasureReceipts, [receipt]);
        }
      });
      await eventually(async () => (await job()).state === 'done');
      // One with something due, one without, and the last look.
      expect(attempts.length).toBeGreaterThan(2);
      // The answer to an attempt that was made meanwhile may come later.
      await eventually(async () => {
        expect((await job()).receipts.find(({ service }) => service === 'recommender')).toEqual({ service: 'recommender', store: 'counts', found: attempts.length - 1, erased: attempts.length - 1, due: 0 });
        return true;
      });
      const redis = connectRedis(plane.redis.url, { role: 'background', name: 'test' });
      expect(await findEverywhere(plane.pool, redis, id)).toEqual([]);
      await closeRedis(redis);
    } finally {
      await plane.close();
    }
  });

  it('refuses to start under another secret, which would not recognise the erased, and erases nobody without one', async () => {
    const plane = await startPlane();
    try {
      expect(await (await plane.startInstance()).call('DELETE', '/api/users/1')).toMatchObject({ status: 501, body: { code: 'not_implemented' } });
      await (await plane.startInstance(SECRET)).call('DELETE', '/api/users/1');
      await expect(plane.startInstance({ USER_ERASURE_SECRET: 't'.repeat(32) })).rejects.toThrow('USER_ERASURE_SECRET');
      await expect(plane.startInstance()).rejects.toThrow('USER_ERASURE_SECRET');
    } finally {
      await plane.close();
    }
  });
});
