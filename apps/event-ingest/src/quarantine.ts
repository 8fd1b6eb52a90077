import { randomUUID } from 'node:crypto';
import { describeError } from '@millrace/bus';
import { allowedEventTypes } from '@millrace/contracts';
import type { InteractionType } from '@millrace/contracts';
import type { Identity, Logger } from '@millrace/service';
import { Counter, Gauge } from 'prom-client';
import type { Registry } from 'prom-client';
import { createBudget } from './quarantine-budget.ts';
import { createQuarantineQueue } from './quarantine-queue.ts';
import { keptText, safePointer, typeIn } from './quarantine-text.ts';
import type { NewQuarantined, Refusal } from './quarantine.repository.ts';

export interface RefusedItem extends Refusal {
  /** Bytes of a line, or what was parsed. */
  readonly item: unknown;
  readonly place?: number;
}

export interface Sender {
  readonly keyId: string;
  /** All that the key may send: of other types nothing is kept, for a replay would log them. Undefined: every type. */
  readonly types?: ReadonlySet<InteractionType> | undefined;
}

export interface Source extends Sender {
  /** Such as /api/events. */
  readonly route: string;
}

export const senderOf = ({ subject, scopes }: Identity): Sender => ({ keyId: subject, types: allowedEventTypes(scopes) });

export interface Quarantine {
  /**
   * Keeps items that were refused. Returns at once and never throws: they are written behind the answer. What is not kept (a flood, a full quarantine,
   * Postgres away for long) is counted and logged. `items` is called only where there is room.
   */
  keep(source: Source, count: number, items: () => readonly RefusedItem[]): void;
  /** Resolves once everything so far is written, or was given up; rejects where Postgres does not take it now. */
  flush(): Promise<void>;
  /** Writes what waits, for at most five seconds. */
  close(): Promise<void>;
}

export interface QuarantineDeps {
  readonly insert: (items: readonly NewQuarantined[]) => Promise<void>;
  /** Rows of each key, as they are stored now. */
  readonly count: () => Promise<ReadonlyMap<string, number>>;
  /** Removes what is too old. */
  readonly purge: () => Promise<unknown>;
  readonly maxRows: number;
  readonly maxRowsPerMinute: number;
  readonly metrics: Registry;
  readonly logger: Logger;
}

const LOOK_EVERY_MS = 60_000;
const LOG_EVERY_MS = 10_000;

function toRow({ route, keyId }: Source, receivedAt: Date, { item, place, code, pointer, reason }: RefusedItem): NewQuarantined {
  const { raw, bytes, isCut, userId, eventId } = keptText(item);
  return { receivedAt, route, keyId, place, eventId: eventId ?? `q-${randomUUID()}`, userId, code, pointer: safePointer(pointer), reason, raw, bytes, isCut };
}

/** Looked for in what is kept: with a secret masked, text may be JSON that was none. */
function mayBeSent({ raw }: NewQuarantined, { types }: Sender): boolean {
  const type = types && typeIn(raw);
  return type === undefined || types?.has(type) !== false;
}

type Why = 'rate' | 'full' | 'storage';

/** Counts what is not kept; says so at most every ten seconds. */
function createLosses(metrics: Registry, logger: Logger): (count: number, why: Why) => void {
  const lost = new Counter({ name: 'events_quarantine_dropped_total', help: 'Refused events of which no row was kept, by why: rate, full, storage', labelNames: ['why'], registers: [metrics] });
  const sums: Partial<Record<Why, { count: number; saidAt: number }>> = {};
  return (count, why) => {
    if (count === 0) return;
    lost.inc({ why }, count);
    const sum = (sums[why] ??= { count: 0, saidAt: -Infinity });
    sum.count += count;
    if (performance.now() - sum.saidAt < LOG_EVERY_MS) return;
    logger.warn({ why, events: sum.count }, 'refused events were not kept');
    sums[why] = { count: 0, saidAt: performance.now() };
  };
}

/** The quarantine: a bounded queue in memory, written in batches behind the answers, and a look at what is stored once a minute. */
export function createQuarantine({ insert, count, purge, maxRows, maxRowsPerMinute, metrics, logger }: QuarantineDeps): Quarantine {
  const kept = new Counter({ name: 'events_quarantined_total', help: 'Refused events that are in quarantine', labelNames: ['code'], registers: [metrics] });
  const stored = new Gauge({ name: 'events_quarantine_rows', help: 'Events in quarantine, counted once a minute', registers: [metrics] });
  const lose = createLosses(metrics, logger);
  const budget = createBudget({ maxRows, maxRowsPerMinute });
  const queue = createQuarantineQueue({ insert, logger, onWritten: (rows) => rows.forEach(({ code }) => kept.inc({ code })), onRefused: (rows) => lose(rows.length, 'storage') });
  const look = async (): Promise<void> => {
    try {
      await purge();
      const counts = await count();
      budget.setStored(counts);
      stored.set([...counts.values()].reduce((sum, one) => sum + one, 0));
    } catch (error) {
      logger.warn({ error: describeError(error) }, 'the quarantine cannot be looked at, it will be tried again');
    }
  };
  void look();
  const timer = setInterval(() => void look(), LOOK_EVERY_MS);
  return {
    keep(source, wanted, items) {
      const fitting = Math.min(wanted, queue.room());
      lose(wanted - fitting, 'storage');
      const { granted, refusedBy } = budget.take(source.keyId, fitting);
      lose(fitting - granted, refusedBy);
      if (granted === 0) return;
      const now = new Date();
      queue.push(items().slice(0, granted).map((item) => toRow(source, now, item)).filter((row) => mayBeSent(row, source)));
    },
    flush: () => queue.flush(),
    async close() {
      clearInterval(timer);
      lose(await queue.close(), 'storage');
    },
  };
}
