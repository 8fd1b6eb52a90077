import { every } from '@millrace/service';
import type { Logger } from '@millrace/service';
import { sql } from 'kysely';
import type { GatewayDb } from '../database.ts';

export interface KeyUsage {
  /** In memory only: costs nothing in the request. */
  used(keyId: string): void;
  /** Writes what is not written yet; rejects where Postgres is away, and keeps it then. */
  flush(): Promise<void>;
  /** Stops, and writes once more; never rejects. */
  close(): Promise<void>;
}

const FLUSH_MS = 10_000;

/** When each key was last used, written together every `everyMs` (10 s): at most one row for each key and instance. What a crash takes is 10 s of it. */
export function createKeyUsage(db: GatewayDb, logger: Logger, everyMs = FLUSH_MS): KeyUsage {
  const lastUsed = new Map<string, number>();
  const flush = async (): Promise<void> => {
    if (lastUsed.size === 0) return;
    const batch = [...lastUsed];
    // In the order of ids: two instances that write the same rows must not wait for each other.
    await sql`
      insert into gateway.key_usage (key_id, last_used_at)
      select id, to_timestamp(ms / 1000) from unnest(${batch.map(([id]) => id)}::text[], ${batch.map(([, ms]) => ms)}::float8[]) as used (id, ms) order by id
      on conflict (key_id) do update set last_used_at = excluded.last_used_at where key_usage.last_used_at < excluded.last_used_at`.execute(db);
    for (const [id, ms] of batch) if (lastUsed.get(id) === ms) lastUsed.delete(id);
  };
  const stop = every(everyMs, { what: 'last use of keys', logger }, flush);
  return {
    used: (keyId) => void lastUsed.set(keyId, Date.now()),
    flush,
    async close() {
      stop();
      await flush().catch((error: unknown) => logger.warn({ err: error }, 'last use of keys could not be written'));
    },
  };
}
