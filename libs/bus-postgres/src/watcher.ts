import { randomUUID } from 'node:crypto';
import { backoffMs, describeError, pause } from '@millrace/bus';
import type { BusLogger } from '@millrace/bus';
import { Client as PgClient } from 'pg';
import { Gauge } from 'prom-client';
import type { Registry } from 'prom-client';
import type { Client } from './client.ts';
import { toNumber, toText } from './rows.ts';

/** Who waits for entries of a topic is told of them: by NOTIFY where LISTEN works, else by looking. */
export interface TopicWatcher {
  /** The newest number of the topic that this process knows of. */
  known(topic: string): number;
  /** Resolves when the topic's newest number is another than `known`, after `ms`, or when the signal aborts. */
  wait(topic: string, known: number, until: { readonly ms: number; readonly signal: AbortSignal }): Promise<void>;
  /** After the commit. Tells this process at once, and others by NOTIFY, at most once a millisecond a topic. */
  published(topic: string, number: number): void;
  close(): Promise<void>;
}

export interface WatcherOptions {
  readonly client: Client;
  /** How often to look where LISTEN does not work. */
  readonly pollMs: number;
  readonly logger: BusLogger;
  readonly metrics: Registry | undefined;
}

/** The safety net beside LISTEN. */
const LISTENING_POLL_MS = 1_000;
const PROBE_MS = 2_000;
/** A pooler that hid notifications may be gone by then. */
const PROBE_AGAIN_MS = 300_000;

interface Waiter { readonly known: number; readonly wake: () => void }

interface Watched {
  readonly latest: Map<string, number>;
  readonly waiters: Map<string, Set<Waiter>>;
  isListening: boolean;
}

function saw({ latest, waiters }: Watched, topic: string, number: number): void {
  latest.set(topic, number);
  for (const waiter of waiters.get(topic) ?? []) if (waiter.known !== number) waiter.wake();
}

function waitFor(watched: Watched, topic: string, known: number, { ms, signal }: { readonly ms: number; readonly signal: AbortSignal }): Promise<void> {
  if (signal.aborted || (watched.latest.get(topic) ?? 0) !== known) return Promise.resolve();
  const all = watched.waiters.get(topic) ?? new Set();
  watched.waiters.set(topic, all);
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
      all.delete(waiter);
      if (all.size === 0) watched.waiters.delete(topic);
      resolve();
    };
    const waiter: Waiter = { known, wake: end };
    const timer = setTimeout(end, ms);
    signal.addEventListener('abort', end, { once: true });
    all.add(waiter);
  });
}

export function createTopicWatcher(options: WatcherOptions): TopicWatcher {
  const { client: { run, schema, address }, metrics } = options;
  const watched: Watched = { latest: new Map(), waiters: new Map(), isListening: false };
  const channel = `${address.schema}_published`;
  const stopping = new AbortController();
  const existing = metrics?.getSingleMetric('bus_postgres_listening');
  const listening = existing instanceof Gauge ? existing : metrics && new Gauge({ name: 'bus_postgres_listening', help: '1 where LISTEN works, 0 where the bus looks for new entries (a transaction pooler)', registers: [metrics] });
  const told = (isListening: boolean): void => {
    watched.isListening = isListening;
    listening?.set(isListening ? 1 : 0);
  };
  const due = new Map<string, number>();
  const notify = (): void => {
    const texts = [...due].map(([topic, number]) => `${number} ${topic}`);
    due.clear();
    // Looking finds what this does not tell of.
    run('select pg_notify($1, text) from unnest($2::text[]) as text', [channel, texts]).catch(() => undefined);
  };
  let running: readonly Promise<void>[] | undefined;
  const start = (): void => {
    running ??= [listen({ ...options, channel, watched, told, stop: stopping.signal }), poll(watched, { run, schema, pollMs: options.pollMs, stop: stopping.signal })];
  };
  return {
    known: (topic) => watched.latest.get(topic) ?? 0,
    wait(topic, known, until) {
      start();
      return waitFor(watched, topic, known, until);
    },
    published(topic, number) {
      saw(watched, topic, number);
      if (due.size === 0) setTimeout(notify, 1);
      due.set(topic, number);
    },
    async close() {
      stopping.abort();
      if (due.size > 0) notify();
      await Promise.all(running ?? []);
    },
  };
}

async function poll(watched: Watched, { run, schema, pollMs, stop }: Pick<Client, 'run' | 'schema'> & { readonly pollMs: number; readonly stop: AbortSignal }): Promise<void> {
  while (!stop.aborted) {
    await pause(watched.isListening ? LISTENING_POLL_MS : pollMs, stop);
    const topics = [...watched.waiters.keys()];
    if (stop.aborted || topics.length === 0) continue;
    // Whoever reads reports what is wrong with the server.
    const rows = await run(`select name, last_number from ${schema}.topics where name = any($1)`, [topics]).catch(() => []);
    for (const row of rows) saw(watched, toText(row['name']), toNumber(row['last_number']));
  }
}

interface ListenOptions extends WatcherOptions {
  readonly channel: string;
  readonly watched: Watched;
  readonly told: (isListening: boolean) => void;
  readonly stop: AbortSignal;
}

/** Listens for as long as it can. A pooler in transaction mode takes LISTEN and delivers nothing, or refuses it: seen by a notification to ourselves. */
async function listen(options: ListenOptions): Promise<void> {
  const { client: { address }, logger, told, stop } = options;
  for (let failures = 0; !stop.aborted; ) {
    try {
      const outcome = await listenOnce(options);
      told(false);
      failures = 0;
      if (outcome === 'deaf') {
        logger.warn({ server: address.shown, pollMs: options.pollMs }, 'LISTEN does not come through to Postgres (a transaction pooler?): the bus looks for new entries instead');
        await pause(PROBE_AGAIN_MS, stop);
      }
    } catch (error) {
      told(false);
      failures += 1;
      if (failures === 1 || failures % 20 === 0) logger.warn({ server: address.shown, failures, error: describeError(error) }, 'the bus cannot listen to Postgres: it looks for new entries instead');
      await pause(backoffMs(failures), stop);
    }
  }
  told(false);
}

async function listenOnce({ client: { run, address }, channel, watched, told, stop }: ListenOptions): Promise<'deaf' | 'ended'> {
  const client = new PgClient({ connectionString: address.connectionString, keepAlive: true, keepAliveInitialDelayMillis: 5_000, connectionTimeoutMillis: 5_000, query_timeout: 5_000, application_name: 'millrace bus listener' });
  const ended = Promise.withResolvers<'ended'>();
  const heard = Promise.withResolvers<boolean>();
  const probe = `probe ${randomUUID()}`;
  client.on('error', () => ended.resolve('ended')).on('end', () => ended.resolve('ended'));
  client.on('notification', ({ payload = '' }) => {
    if (payload === probe) heard.resolve(true);
    const place = payload.indexOf(' ');
    const number = Number(payload.slice(0, place));
    if (Number.isInteger(number) && place > 0) saw(watched, payload.slice(place + 1), Math.max(number, watched.latest.get(payload.slice(place + 1)) ?? 0));
  });
  const stopped = (): void => ended.resolve('ended');
  stop.addEventListener('abort', stopped, { once: true });
  const late = setTimeout(() => heard.resolve(false), PROBE_MS);
  try {
    await client.connect();
    await client.query(`listen "${channel}"`);
    await run('select pg_notify($1, $2)', [channel, probe]);
    const isHeard = await Promise.race([heard.promise, ended.promise.then(() => undefined)]);
    if (isHeard === undefined) return 'ended';
    if (!isHeard) return 'deaf';
    told(true);
    return await ended.promise;
  } finally {
    clearTimeout(late);
    stop.removeEventListener('abort', stopped);
    await client.end().catch(() => undefined);
  }
}
