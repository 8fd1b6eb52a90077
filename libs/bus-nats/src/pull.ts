import { SinkUnavailableError } from '@millrace/bus';
import { GroupMissingError } from '@millrace/bus/engine';
import { createInbox, nanos } from '@nats-io/transport-node';
import type { Msg, NatsConnection } from '@nats-io/transport-node';

/** One message of a pull consumer. */
export interface Delivered {
  /** Place in the stream. */
  readonly number: number;
  readonly ms: number;
  /** 1 for the first delivery. */
  readonly deliveries: number;
  readonly data: Uint8Array;
  /** Where its acknowledgement goes. */
  readonly reply: string;
}

export interface PullOptions {
  readonly stream: string;
  readonly consumer: string;
  readonly count: number;
  readonly blockMs: number;
  /** Ends the wait; what came until then is returned. */
  readonly signal: AbortSignal;
  /** The connection is gone: nothing more comes. */
  readonly lost: AbortSignal;
}

/** A request that waits is not worth it. */
const NO_WAIT_MS = 5;
/** After the first message: the rest of what there is comes without a pause. */
const LULL_MS = 20;
const DRAIN_MS = 2_000;

/** `$JS.ACK.<stream>.<consumer>.<deliveries>.<stream sequence>.<consumer sequence>.<time>.<pending>`; with domain and account hash before, and a random token behind, on newer servers (ADR-15 of NATS). */
function parseReply(reply: string): { readonly deliveries: number; readonly number: number; readonly ms: number; readonly pending: number } {
  const tokens = reply.split('.');
  const numbers = tokens.slice(tokens.length > 9 ? 6 : 4).map(Number);
  const [deliveries = 0, number = 0, , time = 0, pending = 0] = numbers;
  return { deliveries, number, ms: Math.floor(time / 1_000_000), pending };
}

/**
 * Up to `count` messages, waiting for the first. Ends when there are no more, and takes what is on its way then (the request is withdrawn first), so that nothing is delivered
 * to nobody: that would wait for the consumer's ack_wait.
 */
export async function pull(nc: NatsConnection, { stream, consumer, count, blockMs, signal, lost }: PullOptions): Promise<readonly Delivered[]> {
  // Not an empty answer: who reads waits before it tries again.
  if (lost.aborted) throw new SinkUnavailableError('the connection to NATS is lost');
  const messages: Delivered[] = [];
  const done = Promise.withResolvers<undefined>();
  const end = (): void => done.resolve(undefined);
  let lull: NodeJS.Timeout | undefined;
  let failure: Error | undefined;
  const take = ({ reply = '', data }: Msg): void => {
    const { pending, ...place } = parseReply(reply);
    messages.push({ ...place, data, reply });
    clearTimeout(lull);
    if (messages.length >= count || pending === 0) end();
    else lull = setTimeout(end, LULL_MS);
  };
  const inbox = createInbox();
  const subscription = nc.subscribe(inbox, {
    callback(error, message) {
      const code = message.headers?.code ?? 0;
      if (error !== null) failure = error;
      else if (code === 0) return take(message);
      else if (code === 100) return;
      else if (code !== 404 && code !== 408) failure = toFailure(code, message.headers?.description ?? '');
      end();
    },
  });
  const request = blockMs <= NO_WAIT_MS ? { batch: count, no_wait: true } : { batch: count, expires: nanos(blockMs) };
  nc.publish(`$JS.API.CONSUMER.MSG.NEXT.${stream}.${consumer}`, JSON.stringify(request), { reply: inbox });
  const late = setTimeout(end, blockMs + 1_000);
  for (const ending of [signal, lost]) {
    if (ending.aborted) end();
    ending.addEventListener('abort', end, { once: true });
  }
  await done.promise;
  clearTimeout(late);
  clearTimeout(lull);
  for (const ending of [signal, lost]) ending.removeEventListener('abort', end);
  if (messages.length >= count || lost.aborted) subscription.unsubscribe();
  else await withdrawn(subscription.drain());
  if (messages.length > 0) return messages;
  if (failure) throw failure;
  if (lost.aborted) throw new SinkUnavailableError('the connection to NATS was lost');
  return messages;
}

async function withdrawn(drained: Promise<void>): Promise<void> {
  const late = Promise.withResolvers<undefined>();
  const timer = setTimeout(() => late.resolve(undefined), DRAIN_MS);
  // A connection that is lost meanwhile has nothing more for us.
  await Promise.race([drained.catch(() => undefined), late.promise]).finally(() => clearTimeout(timer));
}

function toFailure(code: number, description: string): Error {
  if (/deleted/i.test(description) || code === 503) return new GroupMissingError(`the consumer is gone: ${description === '' ? code : description}`);
  // Too many waiting requests, a leader that changes, a server that shuts down.
  return new SinkUnavailableError(`NATS answered a pull with ${code} ${description}`);
}
