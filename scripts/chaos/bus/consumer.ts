// A consumer of `npm run chaos -- bus`, a process of its own that is killed and started again. Its argument: ConsumerSettings as JSON.
import { appendFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { createRedisStreamsBus } from '@millrace/bus';
import type { BatchHandler, BusLogger, EventOf } from '@millrace/bus';
import { onceByEventId } from '@millrace/outbox';
import { connectRedis } from '@millrace/redis-kit';
import { Kysely, PostgresDialect, sql } from 'kysely';
import { Pool } from 'pg';
import { changesTopic, FORGET_MS, GROUP, orderSchema, settingsSchema } from './consumer-settings.ts';
import type { Point } from './plan.ts';

const settings = settingsSchema.parse(JSON.parse(process.argv[2] ?? ''));
const { consumer, schema, logFile } = settings;
const topic = changesTopic(settings.topic);

const log = (level: string) => (fields: object, message: string): void => appendFileSync(logFile, `${JSON.stringify({ time: Date.now(), level, consumer, pid: process.pid, message, ...fields })}\n`);
const logger: BusLogger = { info: log('info'), warn: log('warn'), error: log('error') };

let dieAt: Point | undefined;
process.on('message', (message) => (dieAt = orderSchema.parse(message).dieAt));
// Its parent is gone: so are its servers.
process.once('disconnect', () => process.exit());
const pass = (point: Point): void => {
  if (dieAt === point) process.kill(process.pid, 'SIGKILL');
};

const pool = new Pool({ connectionString: settings.databaseUrl, max: 4, application_name: consumer });
const db = new Kysely<Record<string, never>>({ dialect: new PostgresDialect({ pool }) });

/** The effects' table takes the same effect twice: only the inbox prevents it. */
const handle: BatchHandler<EventOf<typeof topic>> = async (events) => {
  await db.transaction().execute(async (trx) => {
    const fresh = await onceByEventId(trx, { schema, group: GROUP }, events);
    pass('before its effects');
    const keys = [...new Set(fresh.map(({ key }) => key))];
    // So that `place` is the order of the commits of each key, whatever runs side by side.
    if (settings.ordering === 'key') await sql`select 1 from ${sql.id(schema, 'positions')} where key = any(${keys}::text[]) order by key for update`.execute(trx);
    await delay(settings.workMs * events.length * 2 * Math.random());
    await sql`insert into ${sql.id(schema, 'effects')} (event_id, key, n, consumer)
      select id, key, n, ${consumer} from unnest(${fresh.map(({ meta }) => meta.id)}::uuid[], ${fresh.map(({ key }) => key)}::text[], ${fresh.map(({ n }) => n)}::bigint[]) with ordinality as given(id, key, n, place) order by place`.execute(trx);
    await sql`insert into ${sql.id(schema, 'handlings')} (consumer, events, fresh) values (${consumer}, ${events.length}, ${fresh.length})`.execute(trx);
    pass('before the commit');
  });
  pass('after the commit');
};

const bus = createRedisStreamsBus({
  connect: (role) => connectRedis(settings.redisUrl, { role, name: consumer }),
  consumer, logger, claimIdleMs: settings.claimIdleMs, leaseMs: settings.leaseMs, forgetConsumersMs: FORGET_MS,
  partitions: { [topic.name]: settings.partitions },
});
await bus.subscribe(topic, { group: GROUP, ordering: settings.ordering }, handle);
process.send?.('subscribed');
