import { encodeEvent } from '@millrace/bus';
import { connectRedis } from '@millrace/redis-kit';
import { eventually, testServer } from '@millrace/testing';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Client, Pool } from 'pg';
import { createOutboxWaker, outboxChannel } from '../src/index.ts';
import { createProducts, openOutbox } from './outbox-kit.ts';
import type { Outbox } from './outbox-kit.ts';

let outbox: Outbox;
beforeEach(async () => {
  outbox = await openOutbox();
});
afterEach(() => outbox.close());

const count = async (text: string, values: unknown[] = []): Promise<number> => Number((await outbox.pool.query<{ n: string }>(text, values)).rows[0]?.n);

describe('the relay', () => {
  it('writes the same wire fields as the bus, and never parses the payload', async () => {
    const data = '{"name":  "spaces kept \\u0111"}';
    const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
    await outbox.pool.query(`insert into ${outbox.schema}.outbox (stream, event_type, key, version, data, traceparent) values ($1, 'update', 'đường 1', 7, $2, $3)`, [outbox.topic.name, data, traceparent]);
    outbox.startRelay();
    const [entry] = await eventually(async () => ((await outbox.entries()).length === 1 ? outbox.entries() : undefined));
    const id = entry?.get('id') ?? '';
    const timestamp = entry?.get('timestamp') ?? '';
    const expected = encodeEvent(createProducts(outbox.topic.name), { type: 'update', version: 7, sku: 'đường 1', name: 'spaces kept đ', meta: { id, timestamp, traceparent } });
    expect([...(entry ?? [])].flat().map((text) => (text === data ? '{"name":"spaces kept đ"}' : text))).toEqual(expected);
    expect(entry?.get('data')).toBe(data);
    expect(timestamp).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
  });

  it('publishes each committed row once and in its key\'s order, while rows are being written', async () => {
    outbox.startRelay();
    const written: string[] = [];
    for (let batch = 0; batch < 20; batch += 1) written.push(...(await outbox.write(250, batch * 250)));
    await eventually(async () => (await outbox.waiting()) === 0);
    const entries = await outbox.entries();
    expect(entries.map((entry) => entry.get('id'))).toEqual(written);
    expect(entries.map((entry) => Number(entry.get('version')))).toEqual(Array.from({ length: 5_000 }, (_, n) => n));
  });

  it('lets an open transaction with an older row delay only itself', async () => {
    outbox.startRelay();
    const slow = await outbox.pool.connect();
    await slow.query('begin');
    await slow.query(`insert into ${outbox.schema}.outbox (stream, event_type, key, version, data) values ($1, 'update', 'slow', 1, '{"name":"slow"}')`, [outbox.topic.name]);
    await outbox.write(10);
    await eventually(async () => (await outbox.entries()).length === 10);
    await slow.query('commit');
    slow.release();
    await eventually(async () => (await outbox.entries()).length === 11);
    expect((await outbox.entries()).at(-1)?.get('product_id')).toBe('slow');
  });

  it('repeats a batch whose commit failed after the append, and loses nothing of it', async () => {
    await outbox.pool.query(`
      create function ${outbox.schema}.refuse() returns trigger language plpgsql as 'begin raise exception ''no''; end';
      create trigger refuse before insert on ${outbox.schema}.relay_batches for each row execute function ${outbox.schema}.refuse()`);
    const written = await outbox.write(5);
    outbox.startRelay();
    await eventually(async () => (await outbox.entries()).length >= 5);
    await outbox.pool.query(`drop trigger refuse on ${outbox.schema}.relay_batches`);
    await eventually(async () => (await outbox.waiting()) === 0);
    expect(await outbox.ids()).toEqual(new Set(written));
    expect(await count(`select count(*) as n from ${outbox.schema}.outbox_published`)).toBe(5);
  });

  it('leaves rows of a stream that it does not know', async () => {
    await outbox.pool.query(`insert into ${outbox.schema}.outbox (stream, event_type) values ('elsewhere', 'update')`);
    await outbox.write(3);
    outbox.startRelay();
    await eventually(async () => (await outbox.entries()).length === 3);
    await eventually(async () => (await outbox.waiting()) === 1);
  });

  it('carries two topics of one outbox to their own streams', async () => {
    const other = createProducts();
    await outbox.pool.query(`insert into ${outbox.schema}.outbox (stream, event_type, key, version, data) select case when n % 2 = 0 then $1 else $2 end, 'update', 'k', n, '{}' from generate_series(1, 10) n`, [outbox.topic.name, other.name]);
    outbox.startRelay({ topics: [outbox.topic, other] });
    await eventually(async () => (await outbox.waiting()) === 0);
    expect([await outbox.redis.xlen(outbox.topic.name), await outbox.redis.xlen(other.name)]).toEqual([5, 5]);
    await outbox.redis.unlink(other.name, `${other.name}:epoch`);
  });

  it('keeps about the newest entries of a topic that says how many, and loses none of them', async () => {
    const written = await outbox.write(1_000);
    outbox.startRelay({ topics: [{ ...outbox.topic, options: { ...outbox.topic.options, maxLength: 100 } }] });
    await eventually(async () => (await outbox.waiting()) === 0);
    const kept = (await outbox.entries()).map((entry) => entry.get('id'));
    expect(kept.length).toBeLessThan(400);
    expect(kept.slice(-100)).toEqual(written.slice(-100));
  });

  it('writes heartbeats where asked, with only their id, time and schema', async () => {
    outbox.startRelay({ heartbeatMs: 30 });
    const [entry] = await eventually(async () => ((await outbox.entries()).length >= 2 ? outbox.entries() : undefined));
    expect([...(entry?.keys() ?? [])]).toEqual(['event_type', 'timestamp', 'id', 'schema']);
  });

  it('is woken by a writer long before it would have polled', async () => {
    outbox.startRelay({ pollMs: 60_000 });
    const waker = createOutboxWaker(outbox.pool, { channel: outboxChannel(outbox.schema) });
    await outbox.write(1);
    await eventually(async () => (await outbox.entries()).length === 1);
    for (let n = 1; n < 20; n += 1) {
      await outbox.write(1, n);
      waker.wake();
      waker.wake();
      await eventually(async () => (await outbox.entries()).length === n + 1, { everyMs: 2 });
    }
    await eventually(async () => (await outbox.waiting()) === 0);
    expect(await outbox.entries()).toHaveLength(20);
  });

  it('keeps published rows in hourly partitions, and drops what is older than a day', async () => {
    await outbox.pool.query(`create table ${outbox.schema}.outbox_published_2020010100 partition of ${outbox.schema}.outbox_published for values from ('2020-01-01T00:00:00Z') to ('2020-01-01T01:00:00Z')`);
    for (const at of ['2020-01-01T00:30:00Z', '2020-01-01T05:00:00Z']) {
      await outbox.pool.query(`insert into ${outbox.schema}.outbox_published values (0, 0, gen_random_uuid(), 's', 'update', 'k', 1, '{}', null, $1, $1)`, [at]);
    }
    await outbox.write(2);
    outbox.startRelay();
    await eventually(async () => (await outbox.waiting()) === 0);
    expect(await count(`select count(*) as n from ${outbox.schema}.outbox_published`)).toBe(2);
    expect(await count(`select count(*) as n from ${outbox.schema}.outbox_published_default`)).toBe(0);
    expect(await count(`select count(*) as n from pg_inherits where inhparent = '${outbox.schema}.outbox_published'::regclass`)).toBe(5);
  });
});

describe('two relays of one outbox', () => {
  it('have one active, and the other takes over when its connection is killed, losing nothing', async () => {
    const relays = [outbox.startRelay(), outbox.startRelay()];
    await eventually(() => relays.some((relay) => relay.isLeading()));
    const written = [...(await outbox.write(100))];
    const admin = new Client({ connectionString: testServer('postgres') });
    await admin.connect();
    for (let round = 1; round <= 4; round += 1) {
      const leaders = relays.filter((relay) => relay.isLeading());
      expect(leaders.length).toBeLessThanOrEqual(1);
      const kill = `select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and granted and ((classid::bigint << 32) | objid::bigint) = hashtextextended($1, 0)`;
      await eventually(async () => (await admin.query(kill, [`outbox-relay ${outbox.schema}`])).rowCount === 1);
      written.push(...(await outbox.write(100, round * 100)));
      await eventually(() => relays.filter((relay) => relay.isLeading()).length === 1);
    }
    await admin.end();
    await eventually(async () => (await outbox.waiting()) === 0);
    expect(await outbox.ids()).toEqual(new Set(written));
  });

  it('hand over when the active one does not reach Redis and the other does', async () => {
    const first = outbox.startRelay({ handOverMs: 100, connect: () => connectRedis('redis://127.0.0.1:1', { role: 'background', name: 'outbox relay' }) });
    await eventually(() => first.isLeading());
    const written = await outbox.write(5);
    outbox.startRelay();
    await eventually(async () => (await outbox.waiting()) === 0);
    expect(await outbox.ids()).toEqual(new Set(written));
  });

  it('hand over at once when the active one closes', async () => {
    const first = outbox.startRelay();
    await eventually(() => first.isLeading());
    const second = outbox.startRelay();
    await first.close();
    await eventually(() => second.isLeading());
    await outbox.write(1);
    await eventually(async () => (await outbox.entries()).length === 1);
    expect(first.isLeading()).toBe(false);
  });
});

describe('the waker', () => {
  it('never throws, with the database gone too', async () => {
    const pool = new Pool({ connectionString: 'postgres://nobody@127.0.0.1:1/none' });
    const waker = createOutboxWaker(pool, { channel: 'c' });
    expect(() => waker.wake()).not.toThrow();
    expect(() => waker.wake()).not.toThrow();
    await pool.end();
  });
});
