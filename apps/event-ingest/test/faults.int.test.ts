import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { readContext } from '@millrace/context';
import { interactions } from '@millrace/contracts';
import { createKeys } from '@millrace/redis-kit';
import { eventually, startTunnel } from '@millrace/testing';
import type { Tunnel } from '@millrace/testing';
import { countRows, startPlane, WRITER } from './ingest-kit.ts';
import type { Answer, Instance, Plane } from './ingest-kit.ts';

const view = (userId: unknown, more: Record<string, unknown> = {}) => ({ user_id: userId, asin: 'P-1', event_type: 'view', ...more });
const keys = createKeys();
/** As in production, for tests in which Redis does not answer. */
const impatient = { EVENT_REDIS_TIMEOUT_MS: '50' };
setFlagsFromString('--expose-gc');
const collect: unknown = runInNewContext('gc');
/** Bytes that are still in use: what earlier tests of this process left is in it, too. */
function liveHeap(): number {
  if (typeof collect === 'function') collect();
  return process.memoryUsage().heapUsed;
}
const isFull = process.env['TEST_SCALE'] === 'full';

describe('event-ingest when something fails', () => {
  let plane: Plane;
  const tunnels: Tunnel[] = [];
  beforeEach(async () => {
    plane = await startPlane();
  });
  afterEach(async () => {
    await plane.close();
    for (const tunnel of tunnels.splice(0)) tunnel.close();
  });
  /** An instance whose way to Postgres can be broken. */
  const startBehindTunnel = async (): Promise<{ instance: Instance; tunnel: Tunnel }> => {
    const tunnel = await startTunnel(plane.databaseUrl);
    tunnels.push(tunnel);
    return { tunnel, instance: await plane.startInstance({ EVENT_INGEST_DATABASE_URL: tunnel.url }) };
  };
  const idsInStream = async ({ redis }: Instance): Promise<Set<string>> => {
    const ids = new Set<string>();
    for (const [, fields] of await redis.xrange('interactions', '-', '+')) ids.add(fields[fields.indexOf('id') + 1] ?? '');
    return ids;
  };
  const idsInLog = async (): Promise<Set<string>> => new Set((await plane.pool.query<{ event_id: string }>('select event_id from events.interaction_logs')).rows.map((row) => row.event_id));
  const idOf = ({ body }: Answer): string => String(body['event_id']);
  /** Sends without a pause until it is stopped; the ids that were acknowledged. */
  const load = (instance: Instance, users: number) => {
    const acknowledged: string[] = [];
    const statuses = new Map<number, number>();
    const stopping = new AbortController();
    const one = async (user: number): Promise<void> => {
      while (!stopping.signal.aborted) {
        const answer = await instance.call('POST', '/api/event', view(`u${user}`));
        statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1);
        if (answer.status === 200) acknowledged.push(idOf(answer));
      }
    };
    const running = Promise.all(Array.from({ length: users }, (_, user) => one(user)));
    return {
      acknowledged, statuses,
      stop: async () => {
        stopping.abort();
        await running;
      },
    };
  };

  it('I2: loses nothing that it acknowledged when Redis is killed 20 times under load', async () => {
    const instance = await plane.startInstance(impatient);
    await instance.startWriter();
    const traffic = load(instance, 8);
    for (let kill = 0; kill < 20; kill += 1) {
      const before = traffic.acknowledged.length;
      await eventually(() => traffic.acknowledged.length > before + 50);
      await plane.redis.restart();
    }
    await traffic.stop();
    expect([...traffic.statuses.keys()]).toEqual([200]);
    await eventually(async () => {
      const log = await idsInLog();
      return traffic.acknowledged.every((id) => log.has(id)) && (await plane.pool.query('select 1 from events.deferred_events')).rowCount === 0;
    });
    // Other groups read the stream, not the log.
    await eventually(async () => {
      const stream = await idsInStream(instance);
      return traffic.acknowledged.every((id) => stream.has(id));
    });
    expect(new Set(traffic.acknowledged).size).toBe(await countRows(plane.pool));
  });

  it('sends what it acknowledged again when Redis comes back empty', async () => {
    const instance = await plane.startInstance();
    const ids = [idOf(await instance.call('POST', '/api/event', view('7'))), idOf(await instance.call('POST', '/api/event', view('8')))];
    await instance.redis.flushall();
    ids.push(idOf(await instance.call('POST', '/api/event', view('9'))));
    await eventually(async () => {
      const stream = await idsInStream(instance);
      return ids.every((id) => stream.has(id));
    });
    expect((await readContext(instance.redis, keys, '7')).recentItems).toHaveLength(1);
  });

  it('takes events while Redis is away, and every group and the context get them when it is back', async () => {
    const instance = await plane.startInstance(impatient);
    await instance.call('POST', '/api/event', view('7'));
    await plane.redis.kill();
    const answers = await Promise.all(Array.from({ length: 20 }, (_, n) => instance.call('POST', '/api/event', view(`away-${n}`))));
    expect(new Set(answers.map(({ status, body }) => `${status} ${String(body['context'])}`))).toEqual(new Set(['200 deferred']));
    const log = await idsInLog();
    expect(answers.filter((answer) => !log.has(idOf(answer)))).toEqual([]);
    expect(await instance.call('GET', '/api/users/7/context')).toMatchObject({ status: 503, body: { code: 'unavailable' } });
    await plane.redis.restart();
    await eventually(async () => {
      const stream = await idsInStream(instance);
      return answers.every((answer) => stream.has(idOf(answer)));
    });
    expect((await readContext(instance.redis, keys, 'away-3')).recentItems).toHaveLength(1);
    await eventually(async () => (await instance.call('POST', '/api/event', view('7'))).body['context'] === 'live');
    await instance.startWriter();
    await eventually(async () => (await idsInLog()).size >= 21);
  });

  it('does not wait for a Redis that hangs, and stores an event once although Redis takes it later, too', async () => {
    const instance = await plane.startInstance(impatient);
    await instance.startWriter();
    await instance.call('POST', '/api/event', view('7'));
    plane.redis.pause();
    // Redis answers nothing before it is resumed, below.
    expect(await instance.call('POST', '/api/event', view('7', { event_id: 'hung' }))).toMatchObject({ status: 200, body: { context: 'deferred' } });
    for (let n = 0; n < 10; n += 1) expect((await instance.call('POST', '/api/event', view('7'))).status).toBe(200);
    plane.redis.resume();
    await eventually(async () => (await plane.pool.query('select 1 from events.deferred_events')).rowCount === 0);
    await eventually(async () => (await idsInStream(instance)).has('hung'));
    expect((await instance.redis.xrange('interactions', '-', '+')).filter(([, fields]) => fields.includes('hung'))).toHaveLength(1);
    await eventually(async () => (await countRows(plane.pool)) === 12);
  });

  it('takes events while Postgres is away, and the log catches up without counting it against any', async () => {
    const { instance, tunnel } = await startBehindTunnel();
    await instance.startWriter({ maxRetries: 0 });
    tunnel.drop(true);
    const answers = await Promise.all(Array.from({ length: 30 }, (_, n) => instance.call('POST', '/api/event', view(`pg-${n}`, { asin: `P-${n}` }))));
    expect(new Set(answers.map(({ status, body }) => `${status} ${String(body['context'])}`))).toEqual(new Set(['200 live']));
    await eventually(() => tunnel.drops() >= 3);
    expect(await countRows(plane.pool)).toBe(0);
    tunnel.drop(false);
    await eventually(async () => (await countRows(plane.pool)) === 30);
    expect(await instance.redis.xlen(keys.topic('interactions').deadLetters(WRITER))).toBe(0);
  });

  it('says 503 while both are away, takes nothing, and takes the same event id afterwards', async () => {
    const { instance, tunnel } = await startBehindTunnel();
    await instance.call('POST', '/api/event', view('7'));
    tunnel.drop(true);
    await plane.redis.kill();
    const answer = await instance.call('POST', '/api/event', view('7', { event_id: 'both' }));
    expect(answer).toMatchObject({ status: 503, body: { code: 'unavailable', detail: expect.stringContaining('same event ids') } });
    tunnel.drop(false);
    await plane.redis.restart();
    await eventually(async () => (await instance.call('POST', '/api/event', view('7', { event_id: 'both' }))).status === 200);
  });

  it('leaves a Redis alone that is nearly full, and catches up when there is room', async () => {
    const instance = await plane.startInstance();
    const used = Number(/used_memory:(\d+)/.exec(await instance.redis.info('memory'))?.[1]);
    await instance.redis.config('SET', 'maxmemory', String(Math.round(used / 0.9)));
    const deferred = await eventually(async () => {
      const answer = await instance.call('POST', '/api/event', view('7'));
      return answer.body['context'] === 'deferred' && answer;
    });
    expect((await idsInStream(instance)).has(idOf(deferred))).toBe(false);
    await instance.redis.config('SET', 'maxmemory', String(used * 4));
    await eventually(async () => (await idsInStream(instance)).has(idOf(deferred)));
  });

  it('parks what Postgres refuses after its retries, beside the others, and the others land', async () => {
    const instance = await plane.startInstance();
    await instance.startWriter({ maxRetries: 1 });
    const entry = (id: string, data: unknown) => ['XADD', 'interactions', '*', 'event_type', 'rate', 'user_id', '1', 'timestamp', new Date().toISOString(), 'data', JSON.stringify(data), 'id', id, 'schema', '1', 'asin', 'P-1', 'month', '2026-11'];
    const data = { category: null, brand: null, metadata: {} };
    for (const [command = '', ...rest] of [entry('good-1', data), entry('bad', { ...data, rating: 99 }), entry('good-2', { ...data, rating: 4 })]) await instance.redis.call(command, rest);
    await eventually(async () => (await instance.redis.xlen(keys.topic('interactions').deadLetters(WRITER))) === 1);
    await eventually(async () => [...(await idsInLog())].toSorted().join() === 'good-1,good-2');
  });

  it('I7: never trims what its writer has not acknowledged, however long it stands still and however full Redis is', async () => {
    const { instance, tunnel } = await startBehindTunnel();
    await instance.startWriter();
    tunnel.drop(true);
    for (let n = 0; n < 5; n += 1) await instance.call('POST', '/api/event', view('7'));
    for (let time = 0; time < 3; time += 1) await instance.bus.trimAcknowledged(interactions, { keep: 0, stalledMs: 0, keepBelow: 0, stalledUnderPressureMs: 0 });
    expect(await instance.redis.xlen('interactions')).toBe(5);
    tunnel.drop(false);
    await eventually(async () => (await countRows(plane.pool)) === 5);
    await eventually(async () => {
      await instance.bus.trimAcknowledged(interactions, { keep: 0 });
      return (await instance.redis.xlen('interactions')) === 0;
    });
  });

  it('answers no 5xx in a burst and drains it', async () => {
    const instance = await plane.startInstance(impatient);
    await instance.startWriter();
    const before = liveHeap();
    const traffic = load(instance, isFull ? 200 : 100);
    const until = performance.now() + (isFull ? 30_000 : 3_000);
    await eventually(() => performance.now() > until, { timeoutMs: 60_000, everyMs: 50 });
    await traffic.stop();
    expect([...traffic.statuses.keys()]).toEqual([200]);
    await eventually(async () => (await countRows(plane.pool)) === traffic.acknowledged.length, { timeoutMs: 60_000, everyMs: 100 });
    // What is left are the ids that this test keeps.
    expect(liveHeap() - before).toBeLessThan(100 * 1_048_576);
  }, 150_000);
});
