import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { Readable } from 'node:stream';
import { z } from 'zod';
import { createClient } from '../../../libs/client/src/contract.ts';
import type { Client } from '../../../libs/client/src/contract.ts';
import type { ImportReport } from '../../../libs/contracts/src/index.ts';
import { createPool } from '../../../libs/database/src/index.ts';
import { eventually } from '@millrace/testing/eventually';
import { openEmbeddedVectorAdmin } from '../../../libs/vectors/src/index.ts';
import type { AppName } from '../../local/apps.ts';
import { startStack } from '../../local/stack.ts';
import type { Stack } from '../../local/stack.ts';
import { newStateDir } from '../../local/test-run.ts';

/** Comparing whole stores takes its time on a busy machine. */
const CALL_TIMEOUT_MS = 100_000;

export interface Answer { readonly status: number; readonly headers: Headers; readonly body: Record<string, unknown> }

/** For calls that ask what a service says now, whatever the gateway has cached. */
export const NOT_CACHED = { 'cache-control': 'no-cache' };

/** A running catalogue plane: real processes, real servers, the embedded engines. */
export interface Plane {
  readonly stack: Stack;
  readonly client: Client;
  /** A request through the gateway with the development key. */
  call(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Answer>;
  import(file: ReadableStream<Uint8Array>, query?: Record<string, string>): Promise<ImportReport>;
  /** sku -> version of every active product in Postgres. */
  truth(): Promise<Map<string, number>>;
  /** Resolves when a product is stored whose sku begins so. Asks for no more than that: a process that reads the catalogue every moment has no time for its own upload. */
  hasStarted(prefix: string): Promise<void>;
  /** What the live search index has. */
  found(): Promise<Map<string, number>>;
  /** What the live vector collection has. */
  embedded(): Promise<Map<string, number>>;
  /** The fits of the embedding model, oldest first. */
  fits(): Promise<{ rows: { model_id: string; fitted_on: number }[] }>;
  /** Resolves when the search index and the vector store are equal to Postgres. */
  agrees(timeoutMs?: number): Promise<void>;
  stop(): Promise<void>;
}

/** Straight from the live file of an embedded engine. */
function queryLive(directory: string, query: string): unknown[] {
  const live = readFileSync(join(directory, 'CURRENT'), 'utf8').trim();
  const database = new DatabaseSync(join(directory, `${live}.db`), { readOnly: true });
  try {
    return database.prepare(query).all();
  } finally {
    database.close();
  }
}

/** Paging through the whole catalogue as a caller would costs one scan a page. */
function readIndex(directory: string): Map<string, number> {
  const rows = z.array(z.object({ sku: z.string(), version: z.number() })).parse(queryLive(directory, 'select sku, version from doc where deleted_at is null'));
  return new Map(rows.map(({ sku, version }) => [sku, version]));
}

/** How many products, and the sum of their versions: cheap, and another one as long as a store is behind. */
const SUMS = "select count(*)::int || ' ' || coalesce(sum(version), 0) as sums from catalog.products where deleted_at is null and status = 'active'";
const SUMS_OF_SEARCH = "select count(*) || ' ' || coalesce(sum(version), 0) as sums from doc where deleted_at is null";
const SUMS_OF_VECTORS = "select count(*) || ' ' || coalesce(sum(version), 0) as sums from records where deleted = 0";

async function readVectors(directory: string, skus: readonly string[]): Promise<Map<string, number>> {
  const admin = await openEmbeddedVectorAdmin({ directory });
  try {
    const live = await admin.liveCollection();
    if (live === undefined) throw new Error('there is no live collection');
    const writer = await admin.openWriter(live);
    const described = await writer.describe(skus);
    await writer.close();
    return new Map([...described].filter(([, state]) => !state.deleted).map(([sku, state]) => [sku, state.version]));
  } finally {
    await admin.close();
  }
}

const sorted = (versions: ReadonlyMap<string, number>): string => JSON.stringify([...versions].toSorted(([a], [b]) => (a < b ? -1 : 1)));

function difference(truth: ReadonlyMap<string, number>, store: ReadonlyMap<string, number>): string {
  const missing = [...truth].filter(([sku, version]) => store.get(sku) !== version).map(([sku]) => sku);
  const extra = [...store.keys()].filter((sku) => !truth.has(sku));
  return `${missing.length} missing or old (${missing.slice(0, 3).join(', ')}), ${extra.length} too many (${extra.slice(0, 3).join(', ')})`;
}

/** What the search index and the vector store need to follow the catalogue. */
export const CATALOGUE_APPS = ['gateway', 'catalog-api', 'es-sync-worker', 'embedding-worker'] as const satisfies readonly AppName[];

export interface PlaneOptions {
  /** All of them unless said: a file that starts what it needs leaves the machine to the others. */
  readonly apps?: readonly AppName[];
  /** Instead of a server of its own. */
  readonly redisUrl?: string;
}

/** A starved process is no reason to put an event off or to degrade an answer, and the clock none to count again. */
const PATIENT = { SEARCH_TIMEOUT_MS: '9000', VECTOR_TIMEOUT_MS: '9000', QUERY_EMBEDDING_TIMEOUT_MS: '9000', EVENT_REDIS_TIMEOUT_MS: '5000', EVENT_BUS_TIMEOUT_MS: '5000', COUNT_REBUILD_AT: 'off', ERASURE_REPEAT_MS: '2000' };

export async function startPlane(env: Record<string, string> = {}, { apps, redisUrl }: PlaneOptions = {}): Promise<Plane> {
  const stack = await startStack({ stateDir: newStateDir('plane'), ports: 'free', durable: false, ...(apps && { apps }), ...(redisUrl !== undefined && { external: { redisUrl } }), env: { LOG_LEVEL: 'warn', PRODUCT_STREAM_CLAIM_IDLE_MS: '1000', MODEL_CHECK_INTERVAL_MS: '300', ...PATIENT, ...env } });
  const client = createClient({ baseUrl: stack.gatewayUrl, apiKey: stack.apiKey, timeoutMs: CALL_TIMEOUT_MS });
  const pool = createPool({ url: stack.env['DATABASE_URL'] ?? '', name: 'e2e', max: 2 });
  const directory = join(stack.env['EMBEDDED_DATA_DIR'] ?? '', 'vectors');
  const searchDirectory = join(stack.env['EMBEDDED_DATA_DIR'] ?? '', 'search');
  const truth = async (where = `deleted_at is null and status = 'active'`): Promise<Map<string, number>> => {
    const { rows } = await pool.query<{ sku: string; version: number }>(`select sku, version from catalog.products where ${where}`);
    return new Map(rows.map(({ sku, version }) => [sku, version]));
  };
  const embedded = async (): Promise<Map<string, number>> => readVectors(directory, [...(await truth('true')).keys()]);
  return {
    stack, client, embedded, truth,
    hasStarted: async (prefix) => {
      const isStored = async (): Promise<boolean> => (await pool.query<{ stored: boolean }>('select exists (select from catalog.products where starts_with(sku, $1)) as stored', [prefix])).rows[0]?.stored === true;
      await eventually(isStored, { everyMs: 2, timeoutMs: 30_000 });
    },
    found: async () => readIndex(searchDirectory),
    fits: () => pool.query<{ model_id: string; fitted_on: number }>('select model_id, fitted_on from embedding.fits order by id'),
    call: async (method, path, body, headers = {}) => {
      const answer = await fetch(stack.gatewayUrl + path, { method, headers: { 'x-api-key': stack.apiKey, ...(body !== undefined && { 'content-type': 'application/json' }), ...headers }, ...(body !== undefined && { body: JSON.stringify(body) }) });
      const text = await answer.text();
      return { status: answer.status, headers: answer.headers, body: text === '' ? {} : (JSON.parse(text) as Record<string, unknown>) };
    },
    import: async (file, query = {}) => {
      for await (const line of client.importProducts(file, { contentType: 'application/x-ndjson', query })) if (line.type === 'report') return line;
      throw new Error('the import ended without a report');
    },
    agrees: async (timeoutMs = 30_000) => {
      const sumsAgree = async (): Promise<boolean> => {
        const { rows: [wanted] } = await pool.query(SUMS);
        return [queryLive(searchDirectory, SUMS_OF_SEARCH), queryLive(directory, SUMS_OF_VECTORS)].every(([found]) => JSON.stringify(found) === JSON.stringify(wanted));
      };
      const compare = async (): Promise<{ isEqual: boolean; text: string }> => {
        const wanted = await truth();
        const [found, vectors] = [readIndex(searchDirectory), await embedded()];
        return { isEqual: sorted(wanted) === sorted(found) && sorted(wanted) === sorted(vectors), text: `search: ${difference(wanted, found)}; vectors: ${difference(wanted, vectors)}` };
      };
      await eventually(async () => (await sumsAgree()) && (await compare()).isEqual, { timeoutMs, everyMs: 50 }).catch(async (error: unknown) => {
        throw new Error(`the stores do not agree: ${(await compare()).text}`, { cause: error });
      });
    },
    stop: async () => {
      await pool.end();
      await stack.stop();
    },
  };
}

/** Products as NDJSON, one chunk each. */
export const ndjson = (products: Iterable<unknown>): ReadableStream<Uint8Array> =>
  Readable.toWeb(Readable.from((function* () { for (const product of products) yield Buffer.from(`${JSON.stringify(product)}\n`); })())) as ReadableStream<Uint8Array>;
