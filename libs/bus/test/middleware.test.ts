import { describe, expect, it } from '@jest/globals';
import { AsyncLocalStorage } from 'node:async_hooks';
import { Registry } from 'prom-client';
import { createMemoryBus, FinalError, isolateFailures, PartialFailureError, SinkUnavailableError, withMetrics, withRetry, withTimeout, withTracing } from '../src/index.ts';
import type { AnyEvent, BatchHandler, Delivery } from '../src/index.ts';
import { createTestTopic } from '../src/testing.ts';

const event = (n: number): AnyEvent & { n: number } => ({ type: 'created', n, meta: { id: `e${n}`, timestamp: '', schema: 1, streamId: `${n}-0`, traceparent: `00-${'a'.repeat(31)}${n}-${'b'.repeat(16)}-01` } });
const delivery: Delivery = { signal: new AbortController().signal, partition: 3, fencingToken: 7 };

describe('withTimeout', () => {
  it('rejects a handling that does not end in time and aborts its signal', async () => {
    let seen: Delivery | undefined;
    const handle = withTimeout(20)<AnyEvent>((_events, given) => {
      seen = given;
      return new Promise(() => undefined);
    });
    await expect(handle([event(1)], delivery)).rejects.toMatchObject({ name: 'HandlerTimeoutError', message: 'the handler did not end within 20 ms' });
    expect(seen).toMatchObject({ partition: 3, fencingToken: 7 });
    expect(seen?.signal.aborted).toBe(true);
  });

  it('passes on what ends in time, and what fails', async () => {
    await expect(withTimeout(5_000)(async () => undefined)([event(1)])).resolves.toBeUndefined();
    await expect(withTimeout(5_000)(async () => Promise.reject(new Error('no')))([event(1)])).rejects.toThrow('no');
  });
});

describe('withRetry', () => {
  it.each([
    { name: 'tries again until it works', errors: [new Error('a'), new Error('b')], calls: 3, message: undefined },
    { name: 'gives up after its attempts', errors: [1, 2, 3, 4].map((n) => new Error(`no ${n}`)), calls: 3, message: 'no 3' },
    { name: 'does not repeat a final error', errors: [new FinalError('final')], calls: 1, message: 'final' },
    { name: 'leaves an unavailable sink to the bus', errors: [new SinkUnavailableError('down')], calls: 1, message: 'down' },
  ])('$name', async ({ errors, calls, message }) => {
    let count = 0;
    const handle = withRetry({ attempts: 3, baseMs: 1 })<AnyEvent>(async () => {
      const error = errors[count];
      count += 1;
      if (error) throw error;
    });
    const outcome = handle([event(1)], delivery);
    if (message === undefined) await outcome;
    else await expect(outcome).rejects.toThrow(message);
    expect(count).toBe(calls);
  });
});

describe('isolateFailures', () => {
  it('names exactly the events that fail by themselves', async () => {
    const handle = isolateFailures<AnyEvent & { n: number }>(async (events) => {
      if (events.some(({ n }) => n % 2 === 1)) throw new Error('odd');
    });
    const error: unknown = await handle([1, 2, 3, 4].map(event)).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(PartialFailureError);
    expect(error instanceof PartialFailureError ? [...error.failures.keys()] : []).toEqual(['1-0', '3-0']);
  });

  it('leaves an unavailable sink to the bus', async () => {
    await expect(isolateFailures(async () => Promise.reject(new SinkUnavailableError('down')))([event(1), event(2)])).rejects.toThrow('down');
  });
});

describe('withMetrics', () => {
  it('counts events and times handlings by their result', async () => {
    const registry = new Registry();
    const measure = withMetrics({ registry, topic: 't', group: 'g' });
    await measure(async () => undefined)([event(1), event(2)]);
    await expect(measure(async () => Promise.reject(new Error('no')))([event(1)])).rejects.toThrow('no');
    const text = await registry.metrics();
    expect(text).toContain('bus_handler_events_total{topic="t",group="g",result="ok"} 2');
    expect(text).toContain('bus_handler_seconds_count{topic="t",group="g",result="error"} 1');
    // A second one of the same process shares them.
    expect(() => withMetrics({ registry, topic: 't2', group: 'g' })).not.toThrow();
  });
});

describe('withTracing', () => {
  it('runs the handler in a consumer span that is linked to the spans of its events and tells of topic, group and count only', async () => {
    const spans: { name: string; options: { attributes?: object; links?: { context: { traceId: string } }[] }; status?: unknown; ended: boolean }[] = [];
    const inSpan = new AsyncLocalStorage<string>();
    const tracer = {
      startSpan: () => { throw new Error('not used'); },
      startActiveSpan(name: string, options: object, run: (span: unknown) => unknown) {
        const span = { name, options, ended: false, setStatus: (status: unknown) => void Object.assign(span, { status }), end: () => void (span.ended = true) };
        spans.push(span);
        return inSpan.run(name, () => run(span));
      },
    };
    let active: string | undefined;
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the two methods that are used
    const trace = withTracing({ topic: 'product:updates', group: 'g', tracer: tracer as never });
    const handle: BatchHandler<AnyEvent> = trace(async () => void (active = inSpan.getStore()));
    await handle([event(1), event(2)]);
    await expect(trace(async () => Promise.reject(new Error('no')))([event(1)])).rejects.toThrow('no');
    expect(active).toBe('process product:updates');
    expect(spans[0]?.options.links?.map(({ context }) => context.traceId)).toEqual([`${'a'.repeat(31)}1`, `${'a'.repeat(31)}2`]);
    expect(spans[0]?.options.attributes).toEqual({
      'messaging.system': 'redis', 'messaging.operation.type': 'process', 'messaging.destination.name': 'product:updates',
      'messaging.consumer.group.name': 'g', 'messaging.batch.message_count': 2,
    });
    expect(spans.map(({ ended }) => ended)).toEqual([true, true]);
    expect(spans[1]?.status).toMatchObject({ message: 'Error: no' });
  });
});

describe('delivery', () => {
  it('is given to every handler: a signal and, with an order, a fencing token', async () => {
    const bus = createMemoryBus();
    const topic = createTestTopic();
    const seen: (Delivery | undefined)[] = [];
    await bus.publish(topic, [{ type: 'created', key: 'k', n: 1 }]);
    const first = Promise.withResolvers<undefined>();
    await bus.subscribe(topic, { group: 'g', ordering: 'key' }, async (_events, given) => {
      seen.push(given);
      first.resolve(undefined);
    });
    await first.promise;
    expect(seen[0]).toMatchObject({ partition: 0, fencingToken: 1 });
    expect(seen[0]?.signal.aborted).toBe(false);
    await bus.close();
  });
});
