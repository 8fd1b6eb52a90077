import type { RawEntry } from '@millrace/bus';
import { BOOTSTRAP_LOCK_MS, runBootstrap } from '@millrace/bus/engine';
import type { BootstrapLock, GroupLog, LeasesOf, LeaseTable, LogOf } from '@millrace/bus/engine';
import { z } from 'zod';
import type { Client, Value } from './client.ts';
import { flat, idOf, numberOf, plain, toEntry, toNumber } from './rows.ts';
import type { TopicWatcher } from './watcher.ts';

/** The dead letters of a group are cut to so many: the oldest go first. */
const MAX_DEAD_LETTERS = 100_000;
const ACK_CHUNK = 5_000;

const claimRow = z.object({ kind: z.enum(['claimed', 'exhausted', 'deleted', 'gone']), attempts: z.number(), ms: z.coerce.number(), fields: z.string().nullable() });
const dueRow = z.object({ numbers: z.array(z.coerce.number()), next_ms: z.coerce.number().nullable(), waiting: z.number() });
const adoptedRow = z.object({ number: z.coerce.number(), ms: z.coerce.number().nullable(), fields: z.string().nullable(), is_put_off: z.boolean() });
const bootstrapRow = z.object({ state: z.enum(['done', 'busy', 'mine']), since_us: z.coerce.number(), now_us: z.coerce.number() });

type Rows = readonly Readonly<Record<string, unknown>>[];

/** Deliveries are rows: taken over with SKIP LOCKED, so that consumers never wait for each other's. */
export function createPostgresGroupLog(client: Client, watcher: TopicWatcher, { topic: { name: topic }, group, consumer, canBootstrap, fencingToken }: LogOf): GroupLog {
  const { run, schema } = client;
  const token = fencingToken ?? null;
  const call = (text: string, values: readonly Value[]): Promise<Rows> => run(text, [topic, group, ...values]);
  let waking = new AbortController();
  return {
    ...singleMethods(call, schema, { consumer, token }),
    ...takeMethods(call, schema, { consumer, token }),
    async register() {
      const [row] = await call(`select ${schema}.register_group($1, $2, $3) as is_new`, [canBootstrap]);
      return row?.['is_new'] === true;
    },
    bootstrap: (read, signal) => runBootstrap(createLock(call, schema, consumer), read, signal),
    async needsBootstrap() {
      if (!canBootstrap) return false;
      const [row] = await call(`select bootstrap from ${schema}.groups where topic = $1 and name = $2`, []);
      return row?.['bootstrap'] === 'needed';
    },
    async read(count, blockMs) {
      waking = new AbortController();
      const { signal } = waking;
      const givenUpAt = performance.now() + blockMs;
      for (;;) {
        const known = watcher.known(topic);
        const entries = (await call(`select * from ${schema}.take($1, $2, $3, $4, $5)`, [token, consumer, count])).map(toEntry);
        const left = givenUpAt - performance.now();
        if (entries.length > 0 || left <= 0 || signal.aborted) return entries.map(({ entry }): RawEntry => entry);
        await watcher.wait(topic, known, { ms: left, signal });
      }
    },
    interrupt: () => waking.abort(),
    wake: () => waking.abort(),
    // Each statement is its own transaction: what it has done and could not say is found in the tables.
    takeReconnected: () => false,
    async ack(given) {
      const numbers = given.map(numberOf);
      for (let start = 0; start < numbers.length; start += ACK_CHUNK) await call(`select ${schema}.ack($1, $2, $3, $4)`, [token, numbers.slice(start, start + ACK_CHUNK)]);
    },
    async removeIdleConsumers(idleMs) {
      const rows = await call(
        `delete from ${schema}.consumers c where topic = $1 and "group" = $2 and seen_at < clock_timestamp() - $3 * interval '1 millisecond'
          and not exists (select from ${schema}.deliveries d where d.topic = c.topic and d."group" = c."group" and d.consumer = c.name) returning name`, [Math.round(idleMs)]);
      return rows.length;
    },
    async close() {
      // Where the server is away there is nothing to tidy up.
      await call(`delete from ${schema}.consumers c where topic = $1 and "group" = $2 and name = $3 and not exists (select from ${schema}.deliveries d where d.topic = $1 and d."group" = $2 and d.consumer = $3)`, [consumer]).catch(() => undefined);
    },
  };
}

interface Own {
  readonly consumer: string;
  readonly token: number | null;
}

/** What a consumer may take: its own, another's, what is due. */
function takeMethods(call: (text: string, values: readonly Value[]) => Promise<Rows>, schema: string, { consumer, token }: Own): Pick<GroupLog, 'pending' | 'adopt' | 'takeDue' | 'reclaim'> {
  /** Ids carry the time of the append, which the tables know of the number. */
  const idsOf = async (numbers: readonly number[]): Promise<string[]> => {
    const rows = numbers.length === 0 ? [] : await call(`select number, ms from ${schema}.events where topic = $1 and $2::text is not null and number = any($3)`, [numbers]);
    const found = new Map(rows.map((row) => [toNumber(row['number']), idOf(toNumber(row['ms']), toNumber(row['number']))]));
    return numbers.map((number) => found.get(number) ?? idOf(0, number));
  };
  return {
    async pending(from, count) {
      const rows = await call(`select number from ${schema}.deliveries where topic = $1 and "group" = $2 and consumer = $3 and number > $4 and due_at is null order by number limit $5`, [consumer, from === undefined ? 0 : Number(from), count]);
      const numbers = rows.map((row) => toNumber(row['number']));
      return { items: await idsOf(numbers), next: numbers.length === count ? String(numbers.at(-1)) : undefined };
    },
    async adopt(from, count, putOff) {
      const rows = (await call(`select * from ${schema}.adopt($1, $2, $3, $4, $5, $6, $7)`, [token, consumer, from === undefined ? 0 : Number(from), count, putOff === 'also'])).map((row) => adoptedRow.parse(row));
      const items = rows.flatMap(({ number, ms, fields, is_put_off: isPutOff }): RawEntry[] => (ms === null || fields === null || isPutOff ? [] : [{ id: idOf(ms, number), fields: flat(fields) }]));
      return { items, deleted: rows.filter(({ fields }) => fields === null).length, next: rows.length === count ? String(rows.at(-1)?.number ?? 0) : undefined };
    },
    async takeDue(count) {
      const { numbers, next_ms: nextInMs, waiting } = dueRow.parse((await call(`select * from ${schema}.take_due($1, $2, $3, $4, $5)`, [token, consumer, count]))[0]);
      return { ids: await idsOf(numbers), deleted: 0, nextInMs: nextInMs === null ? undefined : Math.max(0, nextInMs), waiting };
    },
    async reclaim(idleMs, count) {
      const rows = await call(`select number from ${schema}.reclaim($1, $2, $3, $4, $5) as number order by number`, [consumer, Math.round(idleMs), count]);
      return { ids: await idsOf(rows.map((row) => toNumber(row['number']))), deleted: 0 };
    },
  };
}

/** What becomes of one entry. */
function singleMethods(call: (text: string, values: readonly Value[]) => Promise<Rows>, schema: string, { consumer, token }: Own): Pick<GroupLog, 'claim' | 'release' | 'park' | 'delay' | 'touch'> {
  return {
    async claim(id, maxAttempts) {
      const { kind, attempts, fields } = claimRow.parse((await call(`select * from ${schema}.claim($1, $2, $3, $4, $5, $6)`, [token, consumer, numberOf(id), maxAttempts]))[0]);
      if (kind === 'claimed') return { kind, attempts, entry: { id, fields: flat(fields ?? '[]') } };
      return kind === 'exhausted' ? { kind, attempts } : { kind };
    },
    release: async (id, attempts) => void (await call(`select ${schema}.release($1, $2, $3, $4, $5, $6)`, [token, consumer, numberOf(id), attempts])),
    async park(id, reason, attempts) {
      const [row] = await call(`select ${schema}.park($1, $2, $3, $4, $5, $6, $7, $8) as cut`, [token, consumer, numberOf(id), plain(reason), attempts, MAX_DEAD_LETTERS]);
      const cut = toNumber(row?.['cut']);
      return cut < 0 ? undefined : cut;
    },
    delay: async (id, delayMs) => void (await call(`select ${schema}.put_off($1, $2, $3, $4, $5, $6)`, [token, consumer, numberOf(id), Math.round(delayMs)])),
    touch: async (ids) => void (await call(`update ${schema}.deliveries set touched_at = clock_timestamp() where topic = $1 and "group" = $2 and consumer = $3 and number = any($4)`, [consumer, ids.map(numberOf)])),
  };
}

const createLock = (call: (text: string, values: readonly Value[]) => Promise<Rows>, schema: string, consumer: string): BootstrapLock => ({
  async take() {
    const { state, since_us: since, now_us: now } = bootstrapRow.parse((await call(`select * from ${schema}.take_bootstrap($1, $2, $3, $4)`, [consumer, BOOTSTRAP_LOCK_MS]))[0]);
    return state === 'mine' ? { since, now } : state;
  },
  async end(completed) {
    const [row] = await call(`select ${schema}.end_bootstrap($1, $2, $3, $4) as ended`, [consumer, completed]);
    return row?.['ended'] === true;
  },
});

/** The lease of a group's only consumer stands in the group's row, and runs out by the server's clock. */
export function createPostgresLeases({ run, schema }: Client, { topic: { name: topic }, group, member, leaseMs }: LeasesOf): LeaseTable {
  const renew = async (token: number, ms: number): Promise<boolean> => (await run(`select ${schema}.renew_lease($1, $2, $3, $4) as ok`, [topic, group, token, ms]))[0]?.['ok'] === true;
  return {
    // One partition: whoever holds it keeps it, the others stand by.
    join: async () => [member],
    leave: async () => undefined,
    async acquire(partition) {
      const token = (await run(`select ${schema}.acquire_lease($1, $2, $3, $4) as token`, [topic, group, member, leaseMs]))[0]?.['token'];
      return token === null || token === undefined ? undefined : { partition, value: member, fencingToken: toNumber(token) };
    },
    renew: ({ fencingToken }) => renew(fencingToken, leaseMs),
    release: async ({ fencingToken }) => void (await renew(fencingToken, 0)),
  };
}
