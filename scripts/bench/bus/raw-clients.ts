// The loop that everybody writes first, with the same client as each engine of the bus.
import { randomUUID } from 'node:crypto';
import { closeRedis, connectRedis, whenReady } from '@millrace/redis-kit';
import { AckPolicy, jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { Client } from 'pg';
import { addPlain, plainFields, plainPayload, readPlain, uniqueName } from './lane.ts';
import type { PlainEvent } from './lane.ts';

/** Publishes and consumes without our library. */
export interface RawLoop {
  /** All of them, in one go, as fast as the client does it; resolves when the broker has them. */
  publish(events: readonly PlainEvent[]): Promise<void>;
  /** Calls `arrive` for each event behind it, in the consuming process. */
  follow(arrive: () => void): Promise<void>;
  close(): Promise<void>;
}

const GROUP = 'raw';

/** A function that is called with what was read from JSON. */
export function openRawMemory(): RawLoop {
  let arrived = (): void => undefined;
  return {
    async publish(events) {
      const texts = events.map((event) => JSON.stringify(plainFields(event)));
      setImmediate(() => {
        for (const text of texts) if (JSON.parse(text) !== undefined) arrived();
      });
    },
    follow: async (arrive) => void (arrived = arrive),
    close: async () => undefined,
  };
}

export async function openRawRedis(url: string): Promise<RawLoop> {
  const [redis, reader] = [connectRedis(url, { role: 'blocking', name: 'bench raw' }), connectRedis(url, { role: 'blocking', name: 'bench raw reader' })];
  await Promise.all([whenReady(redis), whenReady(reader)]);
  const stream = uniqueName('raw');
  const closing = new AbortController();
  let reading: Promise<void> | undefined;
  return {
    publish: (events) => addPlain(redis, stream, events),
    async follow(arrive) {
      await redis.xgroup('CREATE', stream, GROUP, '$', 'MKSTREAM');
      reading = (async () => {
        while (!closing.signal.aborted) {
          for (const [id, fields] of await readPlain(reader.xreadgroup('GROUP', GROUP, 'plain', 'COUNT', 64, 'BLOCK', 2_000, 'STREAMS', stream, '>')).catch(() => [])) {
            if (plainPayload(fields) !== undefined) arrive();
            await reader.xack(stream, GROUP, id);
          }
        }
      })();
    },
    async close() {
      closing.abort();
      await redis.xadd(stream, '*', 'data', '{}');
      await reading;
      await redis.unlink(stream);
      await Promise.all([closeRedis(redis), closeRedis(reader)]);
    },
  };
}

export async function openRawNats(url: string): Promise<RawLoop> {
  const nc = await connect({ servers: new URL(url).host });
  const [js, jsm] = [jetstream(nc), await jetstreamManager(nc)];
  const stream = uniqueName('raw').replaceAll(':', '-');
  await jsm.streams.add({ name: stream, subjects: [`${stream}.events`] });
  return {
    async publish(events) {
      await Promise.all(events.map((event) => js.publish(`${stream}.events`, JSON.stringify(plainFields(event)))));
    },
    async follow(arrive) {
      const { seq } = { seq: (await jsm.streams.info(stream)).state.last_seq };
      await jsm.consumers.add(stream, { durable_name: GROUP, ack_policy: AckPolicy.Explicit, ...(seq > 0 && { deliver_policy: 'new' as const }) });
      await (await js.consumers.get(stream, GROUP)).consume({
        callback: (message) => {
          if (message.json() !== undefined) arrive();
          message.ack();
        },
      });
    },
    async close() {
      await jsm.streams.delete(stream);
      await nc.close();
    },
  };
}

/** A table, SKIP LOCKED and NOTIFY. */
export async function openRawPostgres(url: string): Promise<RawLoop> {
  const [writer, reader] = [new Client({ connectionString: url }), new Client({ connectionString: url })];
  await Promise.all([writer.connect(), reader.connect()]);
  const table = uniqueName('raw').replaceAll(':', '_');
  await writer.query(`create table ${table} (id bigint generated always as identity primary key, event_id uuid not null, fields text not null)`);
  let busy = Promise.resolve();
  return {
    async publish(events) {
      await writer.query(`insert into ${table} (event_id, fields) select * from unnest($1::uuid[], $2::text[])`, [events.map(() => randomUUID()), events.map((event) => JSON.stringify(plainFields(event)))]);
      void writer.query(`select pg_notify('${table}', '')`);
    },
    async follow(arrive) {
      const take = async (): Promise<void> => {
        const { rows } = await reader.query<{ fields: string }>(`delete from ${table} where id = any(array(select id from ${table} order by id limit 64 for update skip locked)) returning fields`);
        for (const { fields } of rows) if (JSON.parse(fields) !== undefined) arrive();
      };
      await reader.query(`truncate ${table}`);
      reader.on('notification', () => void (busy = busy.then(take)));
      await reader.query(`listen "${table}"`);
    },
    async close() {
      await busy;
      await writer.query(`drop table ${table}`);
      await Promise.all([writer.end(), reader.end()]);
    },
  };
}
