import type { IdempotencyStore, Reply } from '@millrace/http';
import { AppError } from '@millrace/service';
import { sql } from 'kysely';
import { z } from 'zod';
import type { CatalogDb, CatalogTrx } from './database.ts';

const replySchema = z.object({ status: z.int(), body: z.json().optional(), headers: z.record(z.string(), z.string()).optional() });

/** Keeps replies in Postgres for 24 h; a claim whose request died may be taken over after 60 s. */
export function createIdempotencyStore(db: CatalogDb): IdempotencyStore<CatalogTrx> {
  return {
    begin: async (key, fingerprint) => {
      const claimed = await db
        .insertInto('catalog.idempotency_keys')
        .values({ key, fingerprint, reply: null, locked_until: sql<string>`now() + interval '60 seconds'` })
        .onConflict((conflict) => conflict.column('key')
          .doUpdateSet({ fingerprint, reply: null, locked_until: sql<string>`now() + interval '60 seconds'`, created_at: sql<string>`now()` })
          .where(sql<boolean>`(idempotency_keys.reply is null and idempotency_keys.locked_until < now()) or idempotency_keys.created_at < now() - interval '24 hours'`))
        .returning('locked_until as claim')
        .executeTakeFirst();
      if (claimed) return { state: 'new', claim: claimed.claim };
      const known = await db.selectFrom('catalog.idempotency_keys').select(['fingerprint', 'reply']).where('key', '=', key).executeTakeFirst();
      if (!known || known.reply === null) return { state: 'running' };
      return { state: 'done', fingerprint: known.fingerprint, reply: toReply(known.reply) };
    },
    keep: async (trx, key, claim, reply) => {
      const kept = await trx.updateTable('catalog.idempotency_keys').set({ reply: JSON.stringify(reply) }).where('key', '=', key).where('locked_until', '=', claim).where('reply', 'is', null).returning('key').executeTakeFirst();
      if (!kept) throw new AppError('conflict', 'another request with this Idempotency-Key has taken it over: nothing was changed', { headers: { 'Retry-After': '1' } });
    },
    // A commit whose answer got lost has kept its reply; one that is under way is waited for.
    abort: async (key, claim) => void (await db.deleteFrom('catalog.idempotency_keys').where('key', '=', key).where('locked_until', '=', claim).where('reply', 'is', null).execute()),
  };
}

function toReply(stored: unknown): Reply {
  const { status, body, headers } = replySchema.parse(stored);
  return { status, ...(body !== undefined && { body }), ...(headers && { headers }) };
}

/** Removes replies older than 24 h, 10,000 a statement, until none is left. */
export async function purgeIdempotencyKeys(db: CatalogDb): Promise<void> {
  for (let purged = 10_000n; purged === 10_000n; ) {
    const result = await sql`delete from catalog.idempotency_keys where key in (select key from catalog.idempotency_keys where created_at < now() - interval '24 hours' limit 10000)`.execute(db);
    purged = result.numAffectedRows ?? 0n;
  }
}
