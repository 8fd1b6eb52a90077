import { readdir, stat, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { pause } from '@millrace/bus';
import { describeWith, eventually, startRedisServer } from '@millrace/testing';
import type { RedisServer } from '@millrace/testing';
import { openOutbox } from './outbox-kit.ts';
import type { Outbox } from './outbox-kit.ts';

const missing = (expected: Iterable<string>, found: ReadonlySet<string>): string[] => [...expected].filter((id) => !found.has(id));

/** Cuts the end of the append-only file, as a crash between two fsyncs does. */
async function cutAppendOnlyFile(server: RedisServer, share: number): Promise<void> {
  const folder = join(server.directory, 'appendonlydir');
  const file = (await readdir(folder)).find((name) => name.endsWith('.incr.aof'));
  if (file === undefined) throw new Error('no append-only file');
  const { size } = await stat(join(folder, file));
  await truncate(join(folder, file), Math.floor(size * share));
}

describeWith('redis-server', 'the relay on a Redis that fails', () => {
  let server: RedisServer;
  let outbox: Outbox;
  beforeEach(async () => {
    server = await startRedisServer(['--appendonly', 'yes', '--appendfsync', 'always']);
    outbox = await openOutbox(server.url);
  });
  afterEach(async () => {
    server.resume();
    await outbox.close();
    await server.stop();
  });

  /** Writes all the time while `faults` happen, waits until the relay has caught up, and returns what the stream lacks then. */
  async function missingAfter(faults: () => Promise<unknown>): Promise<readonly string[]> {
    const written: string[] = [];
    const stop = new AbortController();
    const writing = (async () => {
      while (!stop.signal.aborted) {
        written.push(...(await outbox.write(20, written.length)));
        await pause(2, stop.signal);
      }
    })();
    await eventually(async () => (await outbox.ids()).size > 200);
    await faults();
    const before = written.length;
    await eventually(() => written.length > before + 100);
    stop.abort();
    await writing;
    const expected = new Set(written);
    await eventually(async () => (await outbox.waiting()) === 0 && missing(expected, await outbox.ids()).length === 0, { everyMs: 50 });
    return missing(expected, await outbox.ids());
  }

  it('publishes everything again after a flush of Redis', async () => {
    outbox.startRelay();
    const lacking = await missingAfter(async () => {
      await outbox.redis.flushall();
      await eventually(async () => (await outbox.ids()).size > 200);
      await outbox.redis.flushall();
    });
    expect(lacking).toEqual([]);
  });

  it('publishes everything again after the stream was deleted', async () => {
    outbox.startRelay();
    const lacking = await missingAfter(() => outbox.redis.del(outbox.topic.name));
    expect(lacking).toEqual([]);
  });

  it('publishes what a kill -9 with a truncated append-only file has lost', async () => {
    outbox.startRelay();
    const lacking = await missingAfter(async () => {
      for (const share of [0.9, 0.5]) {
        await server.kill();
        await cutAppendOnlyFile(server, share);
        await server.restart();
        await eventually(async () => (await outbox.ids()).size > 100);
      }
    });
    expect(lacking).toEqual([]);
  });

  it('notices a loss while nothing is written, and goes on with a replay that was cut short', async () => {
    const relay = outbox.startRelay();
    const written = await outbox.write(6_000);
    await eventually(async () => (await outbox.ids()).size === 6_000, { everyMs: 50 });
    await outbox.redis.flushall();
    await eventually(async () => (await outbox.redis.xlen(outbox.topic.name)) > 0, { everyMs: 1 });
    await relay.close();
    outbox.startRelay();
    await eventually(async () => (await outbox.ids()).size === 6_000, { everyMs: 50 });
    expect(await outbox.ids()).toEqual(new Set(written));
  });

  it('keeps rows in the outbox while Redis is down, and holds no transaction open', async () => {
    outbox.startRelay({ appendTimeoutMs: 200 });
    const written = [...(await outbox.write(10))];
    await eventually(async () => (await outbox.ids()).size === 10);
    await server.kill();
    written.push(...(await outbox.write(10, 10)));
    const openTransactions = `select count(*)::int as n from pg_stat_activity where state like 'idle in transaction%' and query like '%${outbox.schema}%'`;
    await eventually(async () => (await outbox.pool.query<{ n: number }>(openTransactions)).rows[0]?.n === 0);
    expect(await outbox.waiting()).toBe(10);
    await server.restart();
    await eventually(async () => (await outbox.ids()).size === 20);
    expect(await outbox.ids()).toEqual(new Set(written));
  });

  it('gives a claim back when Redis hangs, and goes on when it answers again', async () => {
    // Without its own checks the first thing that meets the hanging server is a claim.
    outbox.startRelay({ appendTimeoutMs: 1_000, checkMs: 60_000 });
    await outbox.write(1);
    await eventually(async () => (await outbox.ids()).size === 1);
    server.pause();
    const written = await outbox.write(10, 1);
    const isIdle = `select count(*)::int as n from pg_stat_activity where state like 'idle in transaction%' and query like '%${outbox.schema}%'`;
    await eventually(async () => (await outbox.pool.query<{ n: number }>(isIdle)).rows[0]?.n === 1);
    await eventually(async () => (await outbox.pool.query<{ n: number }>(isIdle)).rows[0]?.n === 0);
    server.resume();
    await eventually(async () => missing(written, await outbox.ids()).length === 0);
    expect((await outbox.ids()).size).toBe(11);
  });

  it('waits while Redis is full', async () => {
    outbox.startRelay();
    await outbox.write(1);
    await eventually(async () => (await outbox.ids()).size === 1);
    await outbox.redis.config('SET', 'maxmemory', '1');
    const written = await outbox.write(10, 1);
    await eventually(async () => (await outbox.redis.info('errorstats')).includes('errorstat_OOM'));
    expect(await outbox.waiting()).toBe(10);
    await outbox.redis.config('SET', 'maxmemory', '0');
    await eventually(async () => (await outbox.waiting()) === 0);
    expect((await outbox.ids()).size).toBe(written.length + 1);
  });

  it('closes while Redis is down', async () => {
    const relay = outbox.startRelay();
    await eventually(() => relay.isLeading());
    await server.kill();
    await outbox.write(5);
    await relay.close();
    expect(await outbox.waiting()).toBe(5);
    await server.restart();
  });
});
