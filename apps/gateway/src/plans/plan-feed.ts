import { AppError, every } from '@millrace/service';
import type { Logger } from '@millrace/service';
import type { Response } from 'express';
import { sql } from 'kysely';
import { z } from 'zod';
import type { GatewayDb } from '../database.ts';
import { ENDED } from './plan-record.repository.ts';

export interface PlanFeed {
  /** Sends what happens in the plan after this event, until the plan ends or the client goes. Ends `res`. @throws unavailable where too many look, or this owner does too often */
  join(plan: { readonly planId: string; readonly owner: string }, after: number, res: Response): void;
  close(): void;
}

export interface PlanFeedDeps {
  readonly db: GatewayDb;
  readonly logger: Logger;
  readonly everyMs?: number;
  readonly heartbeatEveryMs?: number;
}

interface Client {
  readonly planId: string;
  /** Who looks. */
  readonly owner: string;
  after: number;
  readonly res: Response;
}
interface Row { readonly plan_id: string; readonly number: number; readonly event: string; readonly data: string }

const MAX_CLIENTS = 200;
/** Of one owner: nobody takes the others' places. */
const MAX_OF_OWNER = 50;
/** Bytes that a client has not taken when the next are written; more, and it is dropped. */
const MAX_WAITING = 262_144;
const EVENTS_AT_ONCE = 2_000;

const stateSchema = z.object({ state: z.string() });
const isLast = ({ event, data }: Row): boolean => event === 'plan' && ENDED.has(stateSchema.parse(JSON.parse(data)).state);

/** Is there nothing to come: the plan has ended, and that event was the last? */
export async function isOver(db: GatewayDb, planId: string, after: number): Promise<boolean> {
  const row = await db.selectFrom('gateway.plans').select(['state', 'last_event']).where('id', '=', planId).executeTakeFirst();
  return !row || (ENDED.has(row.state) && row.last_event <= after);
}

/** @throws unavailable where there is none left, or none for this owner */
function checkPlace(clients: ReadonlySet<Client>, owner: string): void {
  if ([...clients].filter((client) => client.owner === owner).length >= MAX_OF_OWNER) throw new AppError('unavailable', `you follow ${MAX_OF_OWNER} plans at this gateway already: end some of these first`, { headers: { 'Retry-After': '10' } });
  if (clients.size >= MAX_CLIENTS) throw new AppError('unavailable', `${MAX_CLIENTS} clients follow plans at this gateway already: try again later`, { headers: { 'Retry-After': '10' } });
}

/** Events of plans for those who look, from Postgres: whichever gateway runs the plan. One question a tick for all clients of this process. */
export function createPlanFeed({ db, logger, everyMs = 300, heartbeatEveryMs = 15_000 }: PlanFeedDeps): PlanFeed {
  const clients = new Set<Client>();
  /** Nothing is written to it any more: its end may wait behind other answers of its connection. */
  const end = (client: Client): void => {
    clients.delete(client);
    client.res.end();
  };
  const send = (client: Client, text: string): void => {
    if (!clients.has(client)) return;
    if (client.res.writableLength > MAX_WAITING) {
      clients.delete(client);
      client.res.destroy();
    } else client.res.write(text);
  };
  const show = (client: Client, rows: readonly Row[]): void => {
    const own = rows.filter(({ plan_id: id, number }) => id === client.planId && number > client.after);
    client.after = own.at(-1)?.number ?? client.after;
    if (own.length > 0) send(client, own.map(({ number, event, data }) => `id: ${number}\nevent: ${event}\ndata: ${data}\n\n`).join(''));
    if (own.some(isLast)) end(client);
  };
  const look = async (): Promise<void> => {
    if (clients.size === 0) return;
    const asked = [...clients];
    const from = new Map<string, number>();
    for (const { planId, after } of asked) from.set(planId, Math.min(after, from.get(planId) ?? Infinity));
    const { rows } = await sql<Row>`
      select e.plan_id, e.number, e.event, e.data from unnest(${[...from.keys()]}::uuid[], ${[...from.values()]}::integer[]) as asked (plan_id, after)
      join gateway.plan_events e on e.plan_id = asked.plan_id and e.number > asked.after order by e.plan_id, e.number limit ${EVENTS_AT_ONCE}`.execute(db);
    for (const client of asked) show(client, rows);
    await endOfGone(asked.filter(({ planId }) => !rows.some((row) => row.plan_id === planId)));
  };
  /** Purged, or erased with a user. */
  const endOfGone = async (silent: readonly Client[]): Promise<void> => {
    if (silent.length === 0) return;
    const found = await db.selectFrom('gateway.plans').select('id').where('id', 'in', [...new Set(silent.map(({ planId }) => planId))]).execute();
    const there = new Set(found.map(({ id }) => id));
    for (const client of silent) if (!there.has(client.planId)) end(client);
  };
  const heart = setInterval(() => { for (const client of clients) send(client, ': heartbeat\n\n'); }, heartbeatEveryMs);
  const stop = every(everyMs, { what: 'events of plans', logger }, look);
  return {
    join({ planId, owner }, after, res) {
      // It went while the plan was looked up.
      if (res.closed || res.destroyed) return;
      checkPlace(clients, owner);
      res.status(200).set({ 'Content-Type': 'text/event-stream; charset=utf-8', 'Cache-Control': 'no-store', 'X-Accel-Buffering': 'no' }).flushHeaders();
      const client = { planId, owner, after, res };
      clients.add(client);
      res.once('close', () => clients.delete(client));
      // A connection that breaks while it is written to ends this feed, and nothing else.
      res.on('error', () => clients.delete(client));
      send(client, 'retry: 2000\n\n');
    },
    close() {
      stop();
      clearInterval(heart);
      for (const client of clients) end(client);
    },
  };
}
