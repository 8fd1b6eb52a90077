import { createPseudonym } from '@millrace/service';
import { LRUCache } from 'lru-cache';
import type { Pool } from 'pg';
import { Counter } from 'prom-client';
import type { Registry } from 'prom-client';

/** Who was erased: HMACs in memory, Postgres is the truth. About 100 bytes each. */
export interface ErasedUsers {
  /** Costs nothing while nobody was ever erased, else a look into memory for an id that was asked for lately. */
  has(userId: string): boolean;
  /** Without the events of erased users, which are counted. */
  keep<E extends { readonly user_id: string }>(events: readonly E[]): readonly E[];
  /** How many erasures `has` knows of: `events.erased.seq`. */
  version(): number;
  /** Resolves once `has` knows what was recorded before the call. */
  refresh(): Promise<void>;
  /** Name of a user in `events.erased`; undefined: no secret is configured, so nobody can be erased. */
  readonly hmac: ((userId: string) => string) | undefined;
}

const ASKED = 100_000;
const FINGERPRINT_OF = 'millrace:erasure-secret';

/**
 * @throws Error where users were erased under another secret, or under one and now there is none: they could come back unseen
 */
async function checkSecret(pool: Pool, hmac: ErasedUsers['hmac']): Promise<void> {
  const fingerprint = hmac?.(FINGERPRINT_OF);
  if (fingerprint !== undefined) await pool.query('insert into events.erasure_secret (fingerprint) select $1::text where not exists (select 1 from events.erased) on conflict (only_one) do update set fingerprint = excluded.fingerprint', [fingerprint]);
  const { rows } = await pool.query<{ known: string; is_used: boolean }>('select fingerprint as known, exists (select 1 from events.erased) as is_used from events.erasure_secret');
  const [stored] = rows;
  if (stored?.is_used === true && stored.known !== fingerprint) throw new Error('users were erased under another USER_ERASURE_SECRET: set that one again, or erased users would come back unseen');
}

/** Until the first erasure, and where a tool writes without a service. */
export const NOBODY_ERASED: ErasedUsers = { has: () => false, keep: (events) => events, version: () => 0, refresh: async () => undefined, hmac: undefined };

export async function openErasedUsers(pool: Pool, secret: string | undefined, metrics: Registry): Promise<ErasedUsers> {
  const dropped = new Counter({ name: 'events_erased_total', help: 'Events of erased users that were dropped behind the door', registers: [metrics] });
  const hmac = secret === undefined ? undefined : createPseudonym(secret);
  await checkSecret(pool, hmac);
  const erased = new Set<string>();
  const asked = new LRUCache<string, boolean>({ max: ASKED });
  let version = 0;
  const load = async (): Promise<void> => {
    const { rows } = await pool.query<{ hmac: string; seq: number }>('select hmac, seq from events.erased where seq > $1 order by seq', [version]);
    if (rows.length === 0) return;
    for (const row of rows) erased.add(row.hmac);
    version = rows.at(-1)?.seq ?? version;
    asked.clear();
  };
  // One after the other: a load that began before the call may not know what it must.
  let last: Promise<void> = Promise.resolve();
  const refresh = (): Promise<void> => (last = last.catch(() => undefined).then(load));
  await refresh();
  const has = (userId: string): boolean => {
    if (erased.size === 0 || !hmac) return false;
    const known = asked.get(userId);
    if (known !== undefined) return known;
    const isErased = erased.has(hmac(userId));
    asked.set(userId, isErased);
    return isErased;
  };
  return {
    hmac, has, refresh,
    version: () => version,
    keep(events) {
      const kept = erased.size === 0 ? events : events.filter((event) => !has(event.user_id));
      if (kept.length < events.length) dropped.inc(events.length - kept.length);
      return kept;
    },
  };
}
