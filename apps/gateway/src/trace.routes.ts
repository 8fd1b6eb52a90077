import type { KeyTrace } from '@millrace/bus';
import { catalogueTraceSchema, getTrace, searchTraceSchema, vectorsTraceSchema } from '@millrace/contracts';
import type { BusTrace, TraceBody } from '@millrace/contracts';
import { ok } from '@millrace/http';
import { AppError } from '@millrace/service';
import type { ServiceClient } from './ask-service.ts';
import type { BusAccess } from './bus-access.ts';
import { explainTrace } from './explain-trace.ts';
import { localRoute } from './local-route.ts';
import type { LocalRoutes } from './local-route.ts';
import { toLetter } from './streams.routes.ts';

/** Of products, by sku. */
const TOPIC = 'product:updates';
const ENTRIES = 10;
const LETTERS = 20;
const TIMEOUT_MS = 4_000;

const toStream = ({ stream, partition, entries, isComplete }: KeyTrace): BusTrace['streams'][number] => ({
  stream, partition, is_complete: isComplete,
  entries: entries.map(({ id, eventType, eventId, version, timestamp, groups }) => ({
    id, event_type: eventType, event_id: eventId, version: version ?? null, timestamp,
    groups: groups.map(({ group, state, consumer, idleMs }) => ({ group, state, consumer: consumer ?? null, idle_ms: idleMs ?? null })),
  })),
});

const traceBus = (bus: BusAccess, sku: string): Promise<BusTrace> =>
  bus({ timeoutMs: TIMEOUT_MS }, async (admin) => {
    const [streams, letters] = await Promise.all([admin.traceKey(TOPIC, sku, ENTRIES), admin.listDeadLetters({ topic: TOPIC, key: sku }, { limit: LETTERS })]);
    return { topic: TOPIC, streams: streams.map(toStream), dead_letters: letters.items.map(toLetter) };
  });

/** One part that cannot be asked does not hide the others. */
async function part<T>(work: Promise<T>): Promise<{ error: string | null; found: T | null }> {
  try {
    return { error: null, found: await work };
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    return { error: error.message, found: null };
  }
}

/** `GET /api/admin/trace/{sku}`: gathered from every service that holds something of a product. */
export function traceRoutes(services: ServiceClient, bus: BusAccess): LocalRoutes {
  return localRoute(getTrace, async ({ params: { sku }, identity: caller }) => {
    const path = `/internal/trace/${encodeURIComponent(sku)}`;
    const options = { caller, timeoutMs: TIMEOUT_MS };
    const [catalogue, traced, search, vectors] = await Promise.all([
      part(services.ask('catalog-api', path, catalogueTraceSchema, options)),
      part(traceBus(bus, sku)),
      part(services.ask('es-sync-worker', path, searchTraceSchema, options)),
      part(services.ask('embedding-worker', path, vectorsTraceSchema, options)),
    ]);
    const parts = { catalogue, bus: traced, search, vectors };
    // Answers are cached by nobody yet.
    return ok({ sku, ...explainTrace(parts), ...parts, cache_keys: [] } satisfies TraceBody);
  });
}
