import { SinkUnavailableError } from '@millrace/bus';
import { GroupMissingError } from '@millrace/bus/engine';
import { createInbox, nanos } from '@nats-io/transport-node';
import type { Msg, NatsConnection } from '@nats-io/transport-node';

/** One message of a pull consumer. */
export interface Delivered {
  /** Place in the stream. */
  readonly number: number;
  /** Rises by one with each delivery of the consumer. */
  readonly delivery: number;
  readonly ms: number;
  /** 1 for the first delivery. */
  readonly deliveries: number;
  /** How many more the consumer had for us then. */
  readonly pending: number;
  readonly data: Uint8Array;
  /** Where its acknowledgement goes. */
  readonly reply: string;
}

/** Also what becomes of a request for a consumer that is not there. */
export class UnansweredError extends Error {
  override readonly name = 'UnansweredError';
}

export interface PullOptions {
  readonly count: number;
  readonly blockMs: number;
  /** Ends the wait. */
  readonly signal: AbortSignal;
  /** The connection is gone: what was asked for does not come. */
  readonly lost: AbortSignal;
}

export interface Puller {
  /** Up to `count` messages, waiting for the first. */
  read(options: PullOptions): Promise<readonly Delivered[]>;
  /** Asks for nothing more. What came and was not read, once nothing can come any more: within a second, at once where the connection is lost. */
  finish(lost: AbortSignal): Promise<readonly Delivered[]>;
  /** Withdraws what is asked for: what the server sends meanwhile goes to nobody. */
  drop(): void;
}

/** A request that waits is not worth it. */
const NO_WAIT_MS = 5;
/** Behind its time a request that was not answered is forgotten. */
const LATE_MS = 1_000;
/**
 * A request waits at most so long, also where its reader does not: `finish` need not wait longer. nats-server 2.9.10 takes a message that was put off until the very moment at which a
 * request expires for delivered, and the last one before it back; readers of what is put off wait exactly until then, so their waits must not be the requests'.
 */
export const MAX_WAIT_MS = 1_000;

/** `$JS.ACK.<stream>.<consumer>.<deliveries>.<stream sequence>.<consumer sequence>.<time>.<pending>`; with domain and account hash before, and a random token behind, on newer servers (ADR-15 of NATS). */
function parseReply(reply: string): Pick<Delivered, 'deliveries' | 'number' | 'delivery' | 'ms' | 'pending'> {
  const tokens = reply.split('.');
  const [deliveries = 0, number = 0, delivery = 0, time = 0, pending = 0] = tokens.slice(tokens.length > 9 ? 6 : 4).map(Number);
  return { deliveries, number, delivery, ms: Math.floor(time / 1_000_000), pending };
}

/**
 * Reads a pull consumer. The server loses a message that it sends while its request is being withdrawn, until the consumer's ack_wait is over (seen with nats-server 2.9.10):
 * so no request is withdrawn, not even at the end. What is there is asked for by requests that do not wait, and only a single message by one that waits; one that nobody waits for
 * any more stands, and what it brings is read next.
 */
export function openPuller(nc: NatsConnection, { stream, consumer, waitMs }: { readonly stream: string; readonly consumer: string; readonly waitMs: number }): Puller {
  const arrived: Delivered[] = [];
  const take = ({ reply = '', data }: Msg): void => void arrived.push({ ...parseReply(reply), data, reply });
  const subject = `$JS.API.CONSUMER.MSG.NEXT.${stream}.${consumer}`;
  const present = openRequests(nc, subject, take);
  const next = openRequests(nc, subject, take);
  const fetch = (count: number, lost: AbortSignal): Promise<void> => present.ask({ batch: count, forMs: 0, lost });
  return {
    async read({ count, blockMs, signal, lost }) {
      // Not an empty answer: who reads waits before it tries again.
      if (lost.aborted) throw new SinkUnavailableError('the connection to NATS is lost');
      if (arrived.length === 0) await fetch(count, lost);
      if (arrived.length === 0 && blockMs > NO_WAIT_MS && !lost.aborted) {
        await next.ask({ batch: 1, forMs: waitMs, endings: [signal, AbortSignal.timeout(Math.ceil(blockMs))], lost });
        if (arrived.some(({ pending }) => pending > 0) && arrived.length < count && !lost.aborted) await fetch(count - arrived.length, lost);
      }
      const failure = present.takeFailure() ?? next.takeFailure();
      if (arrived.length > 0) return arrived.splice(0, count);
      if (failure) throw failure;
      if (lost.aborted) throw new SinkUnavailableError('the connection to NATS was lost');
      return [];
    },
    async finish(lost) {
      await Promise.all([present.finish(lost), next.finish(lost)]);
      return arrived.splice(0);
    },
    drop() {
      present.drop();
      next.drop();
    },
  };
}

interface Ask {
  readonly batch: number;
  /** How long the server waits for messages; 0: what is there now. */
  readonly forMs: number;
  /** End the wait, not the request. */
  readonly endings?: readonly AbortSignal[];
  readonly lost: AbortSignal;
}

interface Requests {
  /** Resolves when all has come, or no more comes, or the connection is lost, or at an ending: the request then stands, and whoever asks next waits for it. */
  ask(what: Ask): Promise<void>;
  takeFailure(): Error | undefined;
  /** Resolves when what was asked for has ended. */
  finish(lost: AbortSignal): Promise<void>;
  drop(): void;
}

interface Request {
  left: number;
  readonly reply: string;
  readonly ended: PromiseWithResolvers<undefined>;
}

/** Requests of one kind, one at a time. */
function openRequests(nc: NatsConnection, subject: string, take: (message: Msg) => void): Requests {
  const inbox = createInbox();
  let current: Request | undefined;
  let failure: Error | undefined;
  let count = 0;
  const end = (request: Request): void => {
    if (current === request) current = undefined;
    request.ended.resolve(undefined);
  };
  const subscription = nc.subscribe(`${inbox}.*`, {
    callback(error, message) {
      const code = error === null ? (message.headers?.code ?? 0) : 0;
      const request = current;
      if (error !== null) failure = error;
      else if (code === 0) {
        take(message);
        if (request && (request.left -= 1) > 0) return;
      } else if (code === 100 || message.subject !== request?.reply) return;
      else if (code !== 404 && code !== 408) failure = toFailure(code, message.headers?.description ?? '');
      if (request) end(request);
    },
  });
  const send = ({ batch, forMs }: Ask): Request => {
    const request = { left: batch, reply: `${inbox}.${(count += 1)}`, ended: Promise.withResolvers<undefined>() };
    current = request;
    nc.publish(subject, JSON.stringify(forMs === 0 ? { batch, no_wait: true } : { batch, expires: nanos(forMs) }), { reply: request.reply });
    const late = setTimeout(() => {
      failure ??= new UnansweredError(`NATS did not answer a pull within ${forMs + LATE_MS} ms`);
      end(request);
    }, forMs + LATE_MS);
    void request.ended.promise.then(() => clearTimeout(late));
    return request;
  };
  const drop = (): void => {
    if (current) end(current);
    subscription.unsubscribe();
  };
  return {
    async ask({ endings = [], lost, ...what }) {
      const request = current ?? send({ ...what, lost });
      await waitFor(request, [...endings, lost]);
      if (lost.aborted) end(request);
    },
    takeFailure() {
      const was = failure;
      failure = undefined;
      return was;
    },
    async finish(lost) {
      if (current) await waitFor(current, [lost]);
      drop();
    },
    drop,
  };
}

async function waitFor({ ended }: Request, endings: readonly AbortSignal[]): Promise<void> {
  const over = Promise.withResolvers<undefined>();
  const give = (): void => over.resolve(undefined);
  for (const ending of endings) {
    if (ending.aborted) give();
    ending.addEventListener('abort', give, { once: true });
  }
  await Promise.race([ended.promise, over.promise]);
  for (const ending of endings) ending.removeEventListener('abort', give);
}

function toFailure(code: number, description: string): Error {
  if (/deleted/i.test(description) || code === 503) return new GroupMissingError(`the consumer is gone: ${description === '' ? code : description}`);
  // Too many waiting requests, a leader that changes, a server that shuts down.
  return new SinkUnavailableError(`NATS answered a pull with ${code} ${description}`);
}
