import { pipeline } from 'node:stream/promises';
import { Writable } from 'node:stream';
import { qualified } from '@millrace/subscribers';
import type { Pointer } from '@millrace/subscribers';
import type { Logger } from '@millrace/service';
import type { Pool, PoolClient } from 'pg';
import { to as copyTo } from 'pg-copy-streams';
import { ColumnsTooLargeError, copiedColumns, createColumnsReader } from './columns.ts';
import type { SubscriberColumns } from './columns.ts';

export interface LiveColumns {
  /** The copy of what this pointer names; undefined while it is being read, or where it is not to be had. */
  at(pointer: Pointer): SubscriberColumns | undefined;
  /** Reads the copy of this pointer in the background, unless it is there. Any other is let go at once. Never throws. */
  follow(pointer: Pointer): void;
  /** Bytes of the copy; 0: there is none. */
  readonly bytes: number;
  close(): Promise<void>;
}

export interface LiveColumnsDeps {
  /** Direct, without a statement timeout. */
  readonly pool: Pool;
  /** Of one copy; 0: none is made. */
  readonly limitBytes: number;
  readonly logger: Pick<Logger, 'info' | 'warn'>;
}

/** Longest reading, and the rest after one that failed. */
const READ_MS = 120_000;
const REST_MS = 5_000;

interface ReadOptions {
  readonly limitBytes: number;
  /** Ends the reading, whatever it waits for. */
  readonly signal: AbortSignal;
}

async function readRows(client: PoolClient, table: string, { limitBytes, signal }: ReadOptions): Promise<SubscriberColumns> {
  // One snapshot: the number of rows is known before the first.
  await client.query(`begin isolation level repeatable read read only; set local statement_timeout = ${READ_MS}`);
  const { rows: [counted] } = await client.query<{ count: number }>(`select count(*)::int as count from ${table}`);
  const reader = createColumnsReader(counted?.count ?? 0, limitBytes);
  await pipeline(client.query(copyTo(`copy (select ${copiedColumns.join(', ')} from ${table} order by isdn) to stdout (format binary)`)), new Writable({
    write(chunk: Buffer, _encoding, done) {
      try {
        reader.add(chunk);
        done();
      } catch (error) {
        done(error instanceof Error ? error : new Error('the rows could not be read', { cause: error }));
      }
    },
  }), { signal });
  await client.query('commit');
  return reader.finish();
}

/** Throws ColumnsTooLargeError where they do not fit. */
export async function readColumns(pool: Pool, generation: number, options: ReadOptions): Promise<SubscriberColumns> {
  const { signal } = options;
  const client = await pool.connect();
  let isHeld = true;
  const release = (isBroken: boolean): void => {
    if (isHeld) client.release(isBroken);
    isHeld = false;
  };
  const stop = (): void => release(true);
  signal.addEventListener('abort', stop);
  try {
    signal.throwIfAborted();
    const columns = await readRows(client, qualified('recommendations', generation), options);
    release(false);
    return columns;
  } finally {
    signal.removeEventListener('abort', stop);
    release(true);
  }
}

/**
 * A copy of the live generation's recommendations in the memory of this process. It belongs to one version of the pointer: whatever changes
 * rows of a live generation must give the pointer a new version, and every instance reads its copy again.
 */
export function createLiveColumns({ pool, limitBytes, logger }: LiveColumnsDeps): LiveColumns {
  let current: { readonly version: number; readonly columns: SubscriberColumns } | undefined;
  let wanted: Pointer | undefined;
  let reading: Promise<void> | undefined;
  let stopping = new AbortController();
  let isClosed = false;
  let refused = -1;
  let restUntilMs = 0;
  const read = async (pointer: Pointer): Promise<void> => {
    stopping = new AbortController();
    const { signal } = stopping;
    const startMs = performance.now();
    try {
      const columns = await readColumns(pool, pointer.recommendations, { limitBytes, signal });
      if (signal.aborted) return;
      current = { version: pointer.version, columns };
      logger.info({ generation: pointer.recommendations, rows: columns.rows, bytes: columns.bytes, ms: Math.round(performance.now() - startMs) }, 'segments are counted in memory');
    } catch (err) {
      if (signal.aborted) return;
      if (err instanceof ColumnsTooLargeError) refused = pointer.version;
      else restUntilMs = performance.now() + REST_MS;
      logger.warn({ err, generation: pointer.recommendations }, 'segments are counted by postgres: there is no copy in memory');
    }
  };
  const start = (): void => {
    if (isClosed || reading !== undefined || wanted === undefined || wanted.version === current?.version || wanted.version === refused || limitBytes === 0 || performance.now() < restUntilMs) return;
    reading = read(wanted).finally(() => {
      reading = undefined;
      start();
    });
  };
  const follow: LiveColumns['follow'] = (pointer) => {
    if (wanted === undefined || pointer.version > wanted.version) {
      wanted = pointer;
      current = undefined;
      restUntilMs = 0;
      stopping.abort();
    }
    start();
  };
  return {
    follow,
    at(pointer) {
      follow(pointer);
      return current?.version === pointer.version ? current.columns : undefined;
    },
    get bytes() {
      return current?.columns.bytes ?? 0;
    },
    async close() {
      isClosed = true;
      stopping.abort();
      await reading;
    },
  };
}
