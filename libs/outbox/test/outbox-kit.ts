import { asEntries, closeRedis, connectRedis } from '@millrace/redis-kit';
import type { Redis } from '@millrace/redis-kit';
import { defineTopic } from '@millrace/bus';
import type { Topic } from '@millrace/bus';
import { testServer, uniqueName } from '@millrace/testing';
import { Kysely, PostgresDialect } from 'kysely';
import { Pool } from 'pg';
import { z } from 'zod';
import { createOutboxTables, createRelay } from '../src/index.ts';
import type { Relay, RelayOptions } from '../src/index.ts';

export const createProducts = (name = uniqueName('products')) =>
  defineTopic(name, { update: z.object({ version: z.int(), sku: z.string(), name: z.string() }) }, {
    schemaVersion: 3,
    keyField: 'product_id',
    keyOf: (event) => event.sku,
    versionOf: (event) => event.version,
    toData: (event) => ({ name: event.name }),
    fromData: (_type, data, fields) => ({ ...z.object({ name: z.string() }).parse(data), version: Number(fields['version']), sku: fields['product_id'] }),
  });

export interface Outbox {
  readonly schema: string;
  readonly pool: Pool;
  readonly redis: Redis;
  readonly topic: Topic;
  /** Inserts rows numbered from..from+count, over 10 keys, in one transaction. Returns their event ids. */
  write(count: number, from?: number): Promise<readonly string[]>;
  startRelay(more?: Partial<RelayOptions>): Relay;
  /** The stream's entries, oldest first. */
  entries(): Promise<readonly ReadonlyMap<string, string>[]>;
  ids(): Promise<ReadonlySet<string>>;
  waiting(): Promise<number>;
  close(): Promise<void>;
}

/** A schema with an outbox of its own in the test database, on the given Redis. */
export async function openOutbox(redisUrl = testServer('redis')): Promise<Outbox> {
  const schema = uniqueName('outbox');
  const topic = createProducts();
  const pool = new Pool({ connectionString: testServer('postgres'), max: 4 });
  pool.on('error', () => undefined);
  await pool.query(`create schema ${schema}`);
  await createOutboxTables(new Kysely({ dialect: new PostgresDialect({ pool }) }), { schema });
  const redis = connectRedis(redisUrl, { role: 'blocking', name: 'outbox test' });
  const relays: Relay[] = [];
  const entries = async () =>
    asEntries(await redis.xrange(topic.name, '-', '+')).map(({ fields }) => new Map(fields.flatMap((name, index): [string, string][] => (index % 2 === 0 ? [[name, fields[index + 1] ?? '']] : []))));

  return {
    schema, pool, redis, topic, entries,
    async write(count, from = 0) {
      const { rows } = await pool.query<{ event_id: string }>(
        `insert into ${schema}.outbox (stream, event_type, key, version, data, traceparent)
         select $1, 'update', 'sku-' || n % 10, n, json_build_object('name', 'product ' || n)::text, null from generate_series($2::int, $3::int) as n order by n returning event_id`,
        [topic.name, from, from + count - 1],
      );
      return rows.map((row) => row.event_id);
    },
    startRelay(more = {}) {
      const connect = () => connectRedis(redisUrl, { role: 'background', name: 'outbox relay' });
      const relay = createRelay({ pool, directUrl: testServer('postgres'), connect, schema, topics: [topic], pollMs: 20, checkMs: 50, ...more });
      relays.push(relay);
      return relay;
    },
    ids: async () => new Set((await entries()).map((entry) => entry.get('id') ?? '')),
    async waiting() {
      return (await pool.query<{ count: number }>(`select count(*)::int as count from ${schema}.outbox`)).rows[0]?.count ?? 0;
    },
    async close() {
      await Promise.all(relays.map((relay) => relay.close()));
      await pool.query(`drop schema ${schema} cascade`);
      await pool.end();
      await redis.unlink(topic.name, `${topic.name}:epoch`).catch(() => undefined);
      await closeRedis(redis);
    },
  };
}
