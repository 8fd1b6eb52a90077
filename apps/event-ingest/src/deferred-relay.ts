import { describeError, pause } from '@millrace/bus';
import type { ContextWriter } from '@millrace/context';
import { interactionSchema, interactionTypes } from '@millrace/contracts';
import { inTransaction } from '@millrace/database';
import { within } from '@millrace/service';
import type { Logger } from '@millrace/service';
import type { Pool } from 'pg';
import { Counter, Gauge } from 'prom-client';
import type { Registry } from 'prom-client';
import { z } from 'zod';
import type { Acknowledged } from './acknowledged.ts';
import type { KnownInteraction } from './interaction.repository.ts';

export interface DeferredRelayDeps {
  /** Its own, of one connection: a transaction is open while Redis is asked. */
  readonly pool: Pool;
  readonly context: Pick<ContextWriter, 'write'>;
  readonly acknowledged: Acknowledged;
  /** Redis is there and has room. */
  readonly isOpen: () => boolean;
  readonly timeoutMs?: number;
  readonly pollMs?: number;
  readonly metrics: Registry;
  readonly logger: Logger;
}

export interface DeferredRelay {
  /** Ends after the batch in hand. */
  close(): Promise<void>;
}

const BATCH = 200;
/** The backlog is counted so far. */
const COUNTED = 100_000;
const CLAIM = `delete from events.deferred_events where seq = any(array(select seq from events.deferred_events order by seq limit ${BATCH} for update skip locked)) returning seq, event`;
const BACKLOG = `select count(*)::int as waiting from (select 1 from events.deferred_events limit ${COUNTED}) as counted`;

const storedSchema = interactionSchema.extend({ type: z.enum(interactionTypes), meta: z.object({ id: z.string(), timestamp: z.string(), traceparent: z.string().optional() }) });
interface Row { readonly seq: number; readonly event: string }

/** As it was stored; `undefined` values of optional fields were never written. */
function parse({ event }: Row): KnownInteraction {
  const { session_id, ranking_id, rating, meta: { traceparent, ...meta }, ...rest } = storedSchema.parse(JSON.parse(event));
  return {
    ...rest, ...(session_id !== undefined && { session_id }), ...(ranking_id !== undefined && { ranking_id }), ...(rating !== undefined && { rating }),
    meta: { ...meta, ...(traceparent !== undefined && { traceparent }) },
  };
}

/**
 * Brings the events that came while Redis was away into the stream and the context: claimed, appended and committed in one transaction, so a crash
 * repeats (the event id drops the second one) and loses nothing. Several instances share the rows.
 */
export function startDeferredRelay(deps: DeferredRelayDeps): DeferredRelay {
  const { pool, context, acknowledged, isOpen, timeoutMs = 5_000, pollMs = 250, metrics, logger } = deps;
  const relayed = new Counter({ name: 'events_relayed_total', help: 'Events that came while Redis was away and are in the stream now', registers: [metrics] });
  const backlog = new Gauge({ name: 'events_deferred', help: 'Events that Redis has not got yet, counted up to 100,000', registers: [metrics] });
  const stopping = new AbortController();

  const relayBatch = async (): Promise<number> => {
    const events = await inTransaction(pool, async (client) => {
      const { rows } = await client.query<Row>(CLAIM);
      const claimed = rows.toSorted((a, b) => a.seq - b.seq).map(parse);
      if (claimed.length === 0) return claimed;
      await within(timeoutMs, context.write(claimed), () => new Error(`Redis did not answer within ${timeoutMs} ms`));
      return claimed;
    });
    acknowledged.add(events);
    relayed.inc(events.length);
    return events.length;
  };
  const loop = async (): Promise<void> => {
    for (let failures = 0; !stopping.signal.aborted; ) {
      try {
        const count = isOpen() ? await relayBatch() : 0;
        if (count < BATCH) backlog.set((await pool.query<{ waiting: number }>(BACKLOG)).rows[0]?.waiting ?? 0);
        failures = 0;
        if (count === BATCH) continue;
      } catch (error) {
        if (failures % 20 === 0) logger.warn({ error: describeError(error) }, 'deferred events wait');
        failures += 1;
      }
      await pause(pollMs, stopping.signal);
    }
  };
  const running = loop();
  return {
    async close() {
      stopping.abort();
      await running;
    },
  };
}
