import { SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import type { Link, SpanContext, Tracer } from '@opentelemetry/api';
import type { BatchHandler } from './bus.ts';
import type { AnyEvent } from './codec.ts';
import { describeError } from './errors.ts';

/** W3C Trace Context, version 00: version-traceid-parentid-flags. */
const TRACEPARENT = /^00-([\da-f]{32})-([\da-f]{16})-([\da-f]{2})$/;
/** OpenTelemetry keeps so many links of a span by default. */
const MAX_LINKS = 128;

const hex = (value: number): string => value.toString(16).padStart(2, '0');

/** `traceparent` of the span that is active here; undefined where nothing is traced. */
export function activeTraceparent(): string | undefined {
  const context = trace.getActiveSpan()?.spanContext();
  return context && `00-${context.traceId}-${context.spanId}-${hex(context.traceFlags)}`;
}

function parseTraceparent(text: string | undefined): SpanContext | undefined {
  const [, traceId, spanId, flags] = TRACEPARENT.exec(text ?? '') ?? [];
  return traceId === undefined || spanId === undefined || flags === undefined ? undefined : { traceId, spanId, traceFlags: Number.parseInt(flags, 16), isRemote: true };
}

export interface TracingOptions {
  readonly topic: string;
  readonly group: string;
  /** Default: the global one, which does nothing unless OpenTelemetry is set up. */
  readonly tracer?: Tracer;
}

/**
 * One consumer span a batch, linked to the spans that published its events, and active while the handler runs. Names and attributes are
 * OpenTelemetry's semantic conventions for messaging. Only ids and counts: no payloads.
 */
export const withTracing =
  ({ topic, group, tracer = trace.getTracer('@millrace/bus') }: TracingOptions) =>
  <E extends AnyEvent>(handle: BatchHandler<E>): BatchHandler<E> =>
  (events, delivery) => {
    const links = events.slice(0, MAX_LINKS).flatMap(({ meta }): Link[] => {
      const context = parseTraceparent(meta.traceparent);
      return context ? [{ context }] : [];
    });
    const attributes = {
      'messaging.system': 'redis', 'messaging.operation.type': 'process', 'messaging.destination.name': topic,
      'messaging.consumer.group.name': group, 'messaging.batch.message_count': events.length,
    };
    return tracer.startActiveSpan(`process ${topic}`, { kind: SpanKind.CONSUMER, links, attributes }, async (span) => {
      try {
        await handle(events, delivery);
      } catch (error) {
        span.setStatus({ code: SpanStatusCode.ERROR, message: describeError(error) });
        throw error;
      } finally {
        span.end();
      }
    });
  };
