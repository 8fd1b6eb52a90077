import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readdir, stat, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { interactions } from '@millrace/contracts';
import { eventually, startTunnel } from '@millrace/testing';
import { z } from 'zod';
import { countRows, patient, startPlane, WRITER } from './ingest-kit.ts';
import type { Plane } from './ingest-kit.ts';

const view = (userId: string, eventId: string) => ({ user_id: userId, asin: 'P-1', event_type: 'view', event_id: eventId });
const always = { ...patient, EVENT_DURABILITY: 'always' };

describe('EVENT_DURABILITY=always', () => {
  let plane: Plane;
  let child: ChildProcess | undefined;
  beforeEach(async () => {
    plane = await startPlane({ redisArguments: ['--appendonly', 'yes', '--appendfsync', 'no'] });
  });
  afterEach(async () => {
    child?.kill('SIGKILL');
    child = undefined;
    await plane.close();
  });
  const startLone = async (variables: Readonly<Record<string, string>>): Promise<number> => {
    child = fork(new URL('lone-instance.ts', import.meta.url).pathname, { env: { ...process.env, ...variables, REDIS_URL: plane.redis.url, EVENT_INGEST_DATABASE_URL: plane.databaseUrl }, stdio: 'ignore' });
    const [port]: unknown[] = await once(child, 'message');
    return z.int().parse(port);
  };
  const killChild = async (): Promise<void> => {
    const running = child;
    child = undefined;
    if (!running) return;
    const exited = once(running, 'exit');
    running.kill('SIGKILL');
    await exited;
  };
  const post = async (port: number, body: unknown): Promise<number> =>
    (await fetch(`http://127.0.0.1:${port}/api/event`, { method: 'POST', headers: { authorization: 'Bearer t', 'content-type': 'application/json' }, body: JSON.stringify(body) })).status;
  /** The append-only files and how long they are. */
  const onDisk = async (): Promise<ReadonlyMap<string, number>> => {
    const folder = join(plane.redis.directory, 'appendonlydir');
    const names = (await readdir(folder)).filter((name) => name.endsWith('.aof'));
    return new Map(await Promise.all(names.map(async (name): Promise<[string, number]> => [join(folder, name), (await stat(join(folder, name))).size])));
  };

  it('I2: loses nothing that it acknowledged when Redis loses its last second and the process dies with it', async () => {
    const port = await startLone(always);
    expect(await post(port, view('before', 'before'))).toBe(200);
    const synced = await onDisk();
    const ids = Array.from({ length: 30 }, (_, n) => `e-${n}`);
    expect(new Set(await Promise.all(ids.map((id, n) => post(port, view(`u${n % 7}`, id)))))).toEqual(new Set([200]));
    // What a power cut does: neither process writes another byte, and of the file there is what was synced.
    await Promise.all([plane.redis.kill(), killChild()]);
    for (const [file, size] of synced) await truncate(file, size);
    await plane.redis.restart();
    const next = await plane.startInstance(always);
    expect(await next.redis.xlen('interactions')).toBe(1);
    expect(await countRows(plane.pool)).toBe(31);
    // Whoever sends them again, and the writer behind it, add nothing to them.
    for (const id of ids) expect((await next.call('POST', '/api/event', view('u1', id))).status).toBe(200);
    await next.startWriter();
    await eventually(async () => (await next.bus.lag(interactions, WRITER)).messages === 0);
    expect(await countRows(plane.pool)).toBe(31);
  });

  it('says 503 while Postgres cannot confirm, and the same event id is one row afterwards', async () => {
    const tunnel = await startTunnel(plane.databaseUrl);
    try {
      const instance = await plane.startInstance({ ...always, EVENT_INGEST_DATABASE_URL: tunnel.url });
      expect((await instance.call('POST', '/api/event', view('7', 'first'))).status).toBe(200);
      tunnel.drop(true);
      const answer = await instance.call('POST', '/api/event', view('7', 'unclear'));
      expect(answer).toMatchObject({ status: 503, body: { code: 'unavailable', detail: expect.stringContaining('same event ids') } });
      tunnel.drop(false);
      await eventually(async () => (await instance.call('POST', '/api/event', view('7', 'unclear'))).status === 200);
      expect(await countRows(plane.pool)).toBe(2);
      expect(await instance.redis.xlen('interactions')).toBe(2);
    } finally {
      tunnel.close();
    }
  });

  it('stores five parallel duplicates over two instances once, beside the writer', async () => {
    const [first, second] = [await plane.startInstance(always), await plane.startInstance(always)];
    await first.startWriter();
    const answers = await Promise.all([first, second, first, second, first].map((instance) => instance.call('POST', '/api/event', view('dup', 'dup-1'))));
    expect(answers.map(({ status, body }) => [status, body['context']])).toEqual(answers.map(() => [200, 'live']));
    expect(await countRows(plane.pool)).toBe(1);
    expect(await first.redis.xlen('interactions')).toBe(1);
  });
});
