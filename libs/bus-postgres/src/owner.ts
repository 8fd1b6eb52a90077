import type { ErasedEntries, GroupLag, Topic } from '@millrace/bus';
import type { Engine, GroupState, TracedEntry } from '@millrace/bus/engine';
import { z } from 'zod';
import type { Client } from './client.ts';
import { flat, idOf, numberOf, toEntry, toNumber, toText } from './rows.ts';

const TRIM_CHUNK = 2_000;
const PAGE = 500;
/** Beyond so many unread entries the exact number does not matter: counting stops. */
const COUNTED = 100_000;
/** Entries of one topic that are looked at for a key. */
const MAX_TRACED = 20_000;
const DEAD_LETTERS_MS = 30 * 86_400_000;

const lagRow = z.object({ unread: z.coerce.number(), pending: z.coerce.number(), oldest_ms: z.coerce.number().nullable(), letters: z.coerce.number(), now_ms: z.coerce.number() });
const groupRow = z.object({
  name: z.string(), pending: z.coerce.number(), delayed: z.coerce.number(), bootstrap: z.string().nullable(), is_bootstrapping: z.boolean(), holder: z.string().nullable(),
});
const consumerRow = z.object({ group: z.string(), name: z.string(), idle_ms: z.coerce.number(), pending: z.coerce.number() });

export async function readLag({ run, schema }: Client, topic: string, group: string): Promise<GroupLag> {
  const [row] = await run(
    `with place as (select coalesce((select delivered from ${schema}.groups where topic = $1 and name = $2), 0) as delivered),
      unread as (select ms from ${schema}.events, place where topic = $1 and number > place.delivered order by number limit ${COUNTED})
     select (select count(*) from unread) as unread, (select count(*) from ${schema}.deliveries where topic = $1 and "group" = $2) as pending,
      least((select min(ms) from unread), (select min(e.ms) from ${schema}.deliveries d join ${schema}.events e on e.topic = d.topic and e.number = d.number where d.topic = $1 and d."group" = $2)) as oldest_ms,
      (select count(*) from ${schema}.dead_letters where topic = $1 and "group" = $2) as letters, extract(epoch from clock_timestamp()) * 1000 as now_ms`,
    [topic, group],
  );
  const lag = lagRow.parse(row);
  return { messages: lag.unread + lag.pending, oldestAgeMs: lag.oldest_ms === null ? 0 : Math.max(0, Math.round(lag.now_ms - lag.oldest_ms)), deadLetters: lag.letters };
}

type OwnerMethods = Pick<Engine, 'lastId' | 'lag' | 'trim' | 'hasPassed' | 'erase' | 'describe' | 'trace' | 'dropGroup'>;

/** What owners and operators of topics do. Deletes go in batches, so that no statement is long. */
export function createOwnerMethods(client: Client): OwnerMethods {
  const { run, schema } = client;
  return {
    async lastId({ name }) {
      const [row] = await run(`select last_ms, last_number from ${schema}.topics where name = $1`, [name]);
      return row && toNumber(row['last_number']) > 0 ? idOf(toNumber(row['last_ms']), toNumber(row['last_number'])) : '0-0';
    },
    lag: ({ name }, group) => readLag(client, name, group),
    async trim({ name }, { keep, stalledMs }) {
      const passedOver = (await run(`select * from ${schema}.pass_over($1, $2) as name`, [name, stalledMs])).map((row) => toText(row['name']));
      let removed = 0;
      for (let chunk = TRIM_CHUNK; chunk === TRIM_CHUNK; removed += chunk) chunk = toNumber((await run(`select ${schema}.trim_events($1, $2, $3) as removed`, [name, keep, TRIM_CHUNK]))[0]?.['removed']);
      const rows = await run(`with old as (delete from ${schema}.dead_letters where topic = $1 and ms < $2 returning "group") select "group", count(*) as dropped from old group by 1`, [name, Date.now() - DEAD_LETTERS_MS]);
      return { removed, passedOver, dropped: Object.fromEntries(rows.map((row) => [toText(row['group']), toNumber(row['dropped'])])) };
    },
    async hasPassed(topic, group, id) {
      const number = numberOf(id);
      const [row] = await run(
        `select exists (select from ${schema}.groups g where g.topic = $1 and g.name = $2
            and (g.delivered >= $3 or not exists (select from ${schema}.events e where e.topic = $1 and e.number > g.delivered and e.number <= $3)))
          and not exists (select from ${schema}.deliveries where topic = $1 and "group" = $2 and number <= $3) as passed`, [topic, group, number]);
      return row?.['passed'] === true;
    },
    erase: (options) => eraseEntries(client, options),
    describe: (topic) => describeTopic(client, topic),
    trace: (topic, key, limit) => traceKey(client, topic, { key, limit }),
    async dropGroup({ name }, group) {
      for (const table of ['consumers', 'deliveries', 'dead_letters']) await run(`delete from ${schema}.${table} where topic = $1 and "group" = $2`, [name, group]);
      await run(`delete from ${schema}.groups where topic = $1 and name = $2`, [name, group]);
    },
  };
}

const toMap = (fields: readonly string[]): ReadonlyMap<string, string> => new Map(fields.flatMap((name, at): [string, string][] => (at % 2 === 0 ? [[name, fields[at + 1] ?? '']] : [])));

async function eraseEntries({ run, schema }: Client, { topic: { name }, isTheirs, isForced }: Parameters<Engine['erase']>[0]): Promise<ErasedEntries> {
  let [erased, due] = [0, 0];
  for (let after = 0, isMore = true; isMore; ) {
    const page = (await run(`select number, ms, fields from ${schema}.events where topic = $1 and number > $2 order by number limit ${PAGE}`, [name, after])).map(toEntry);
    const theirs = page.filter(({ entry }) => isTheirs(toMap(entry.fields))).map(({ number }) => number);
    if (theirs.length > 0) {
      // Acknowledged for all groups, so that nobody counts them as lost.
      if (isForced) await run(`delete from ${schema}.deliveries where topic = $1 and number = any($2)`, [name, theirs]);
      const gone = await run(
        `delete from ${schema}.events e where topic = $1 and number = any($2) and ($3 or (
          not exists (select from ${schema}.deliveries d where d.topic = e.topic and d.number = e.number) and not exists (select from ${schema}.groups g where g.topic = e.topic and g.delivered < e.number))) returning number`,
        [name, theirs, isForced]);
      erased += gone.length;
      due += theirs.length - gone.length;
    }
    after = page.at(-1)?.number ?? after;
    isMore = page.length === PAGE;
  }
  return { erased, due };
}

async function describeTopic(client: Client, { name }: Topic): Promise<Awaited<ReturnType<Engine['describe']>>> {
  const { run, schema } = client;
  const [ends, groups, consumers] = await Promise.all([
    run(
      `select count(*) as length, (select ms || '-' || number from ${schema}.events where topic = $1 order by number limit 1) as first, (select last_ms || '-' || last_number from ${schema}.topics where name = $1 and last_number > 0) as last,
        coalesce((select avg(length(fields)) from (select fields from ${schema}.events where topic = $1 limit 100) as sample), 0)::bigint * count(*) as bytes from ${schema}.events where topic = $1`, [name]),
    run(
      `select g.name, g.bootstrap, coalesce(g.bootstrap_until > clock_timestamp(), false) as is_bootstrapping, case when g.holder_until > clock_timestamp() then g.holder end as holder,
        count(d.number) as pending, count(d.due_at) as delayed
       from ${schema}.groups g left join ${schema}.deliveries d on d.topic = g.topic and d."group" = g.name where g.topic = $1 group by g.topic, g.name order by g.name`, [name]),
    run(
      `select c."group", c.name, extract(epoch from clock_timestamp() - c.seen_at) * 1000 as idle_ms, (select count(*) from ${schema}.deliveries d where d.topic = c.topic and d."group" = c."group" and d.consumer = c.name) as pending
       from ${schema}.consumers c where c.topic = $1 order by c.name`, [name]),
  ]);
  const seen = consumers.map((row) => consumerRow.parse(row));
  const states = groups.map((row) => groupRow.parse(row)).map(async (group): Promise<GroupState> => {
    const lag = await readLag(client, name, group.name);
    const bootstrap = group.is_bootstrapping ? 'bootstrapping' : group.bootstrap === null ? 'none' : group.bootstrap === 'needed' ? 'needs-bootstrap' : 'done';
    return {
      group: group.name, pending: group.pending, unread: lag.messages - group.pending, delayed: group.delayed, oldestAgeMs: lag.oldestAgeMs, deadLetters: lag.deadLetters, bootstrap, holder: group.holder ?? undefined,
      consumers: seen.filter((one) => one.group === group.name).map((one) => ({ consumer: one.name, pending: one.pending, idleMs: Math.max(0, Math.round(one.idle_ms)) })),
    };
  });
  const [row] = ends;
  const text = (value: unknown): string | undefined => (value === null || value === undefined ? undefined : toText(value));
  return { stream: name, length: toNumber(row?.['length']), bytes: toNumber(row?.['bytes']), firstId: text(row?.['first']), lastId: text(row?.['last']), groups: await Promise.all(states) };
}

const tracedRow = z.object({ number: z.coerce.number(), ms: z.coerce.number(), fields: z.string(), seen: z.coerce.number() });

async function traceKey({ run, schema }: Client, { name }: Topic, { key, limit }: { readonly key: string; readonly limit: number }): Promise<Awaited<ReturnType<Engine['trace']>>> {
  const rows = (await run(
    `select number, ms, fields, place as seen from (select *, row_number() over (order by number desc) as place from (select number, ms, fields, event_key from ${schema}.events where topic = $1 order by number desc limit ${MAX_TRACED}) as newest) as numbered
      where event_key = $2 order by number desc limit $3`, [name, key, limit + 1])).map((row) => tracedRow.parse(row));
  const numbers = rows.map(({ number }) => number);
  const [groups, deliveries] = await Promise.all([
    run(`select name, delivered from ${schema}.groups where topic = $1 order by name`, [name]),
    run(`select "group", number, consumer, due_at is not null as delayed, extract(epoch from clock_timestamp() - touched_at) * 1000 as idle_ms from ${schema}.deliveries where topic = $1 and number = any($2)`, [name, numbers]),
  ]);
  const entries = rows.slice(0, limit).map(({ number, ms, fields }): TracedEntry => {
    const named = toMap(flat(fields));
    return {
      id: idOf(ms, number), eventType: named.get('event_type') ?? '', eventId: named.get('id') ?? '', timestamp: named.get('timestamp') ?? '',
      version: named.has('version') ? Number(named.get('version')) : undefined,
      groups: groups.map((row) => {
        const group = toText(row['name']);
        const found = deliveries.find((one) => one['group'] === group && toNumber(one['number']) === number);
        if (found) return { group, state: found['delayed'] === true ? 'delayed' : 'pending', consumer: toText(found['consumer']), idleMs: Math.max(0, Math.round(toNumber(found['idle_ms']))) };
        return { group, state: number > toNumber(row['delivered']) ? 'unread' : 'acknowledged', consumer: undefined, idleMs: undefined };
      }),
    };
  });
  const [count] = await run(`select count(*) as length from (select from ${schema}.events where topic = $1 limit ${MAX_TRACED + 1}) as counted`, [name]);
  return { stream: name, partition: 0, entries, isComplete: rows.length <= limit && toNumber(count?.['length']) <= MAX_TRACED };
}
