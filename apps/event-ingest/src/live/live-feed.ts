import { randomUUID } from 'node:crypto';
import type { Interaction, LiveType, SearchEvent } from '@millrace/contracts';
import { createMemory, createRenderer, frameText, toObject } from './live-frames.ts';
import type { Frame } from './live-frames.ts';
import { createLastMinute, createSampler } from './sampler.ts';

/** Where a client's frames go. */
export interface LiveSink {
  /** Text of server-sent events. */
  write(text: string): void;
  /** Characters that the client has not taken yet. */
  waiting(): number;
  /** The feed is over for this client: `slow` where it does not take what it is sent. */
  end(reason: 'closing' | 'slow'): void;
}

export interface LiveClient {
  readonly sink: LiveSink;
  /** undefined: all. */
  readonly types: ReadonlySet<LiveType> | undefined;
  /** May it see user ids? */
  readonly isPersonal: boolean;
  readonly lastEventId: string | undefined;
}

export interface LiveFeed {
  /** Events as the bus has them. */
  show(events: readonly (Interaction | SearchEvent)[]): void;
  /** Events may have been missed. */
  gap(): void;
  /** Sends this client everything from now on, and from `lastEventId` on where that is still known. Returns the function that ends it. */
  join(client: LiveClient): () => void;
  readonly clients: number;
  /** Ends all clients. */
  close(): void;
}

export interface LiveFeedOptions {
  /** Events of each type that are sent; of the others only a number. */
  readonly perSecond?: number;
  /** Events that a client may go on after. */
  readonly remembered?: number;
  /** Characters that may wait for one client when the next are written; more, and it is dropped. */
  readonly maxWaiting?: number;
  readonly countsEveryMs?: number;
  readonly heartbeatEveryMs?: number;
}

/** Those who look, and what is sent to them. */
function createAudience(maxWaiting: number) {
  const clients = new Set<LiveClient>();
  const send = (client: LiveClient, text: string): void => {
    if (text === '' || !clients.has(client)) return;
    // Before the write: one's own text waits for a moment even where the client reads.
    if (client.sink.waiting() <= maxWaiting) return client.sink.write(text);
    clients.delete(client);
    client.sink.end('slow');
  };
  return {
    clients, send,
    sendAll: (textOf: (client: LiveClient) => string): void => {
      for (const client of clients) send(client, textOf(client));
    },
  };
}

const textFor = ({ types, isPersonal }: LiveClient, frames: readonly Frame[]): string =>
  frames.filter(({ type }) => types?.has(type) ?? true).map(({ masked, personal }) => (isPersonal ? personal : masked)).join('');

/** One process's live feed: what is sent is sampled and written once, for all clients. Memory is bounded by the remembered frames and by what waits for each client. */
export function createLiveFeed({ perSecond = 100, remembered = 1_000, maxWaiting = 262_144, countsEveryMs = 1_000, heartbeatEveryMs = 15_000 }: LiveFeedOptions = {}): LiveFeed {
  const epoch = randomUUID().slice(0, 8);
  const [sampler, lastMinute, render, memory] = [createSampler({ perSecond }), createLastMinute(), createRenderer(), createMemory(remembered)];
  const { clients, send, sendAll } = createAudience(maxWaiting);
  let isClosed = false;

  const resume = (client: LiveClient, lastEventId: string): void => {
    const [, of, place] = /^([0-9a-f]{8})-(\d{1,15})$/.exec(lastEventId) ?? [];
    const frames = of === epoch ? memory.after(Number(place)) : undefined;
    send(client, frames ? textFor(client, frames) : frameText({ event: 'gap', data: { reason: 'the events after this id are not known here any more' } }));
  };
  const counts = setInterval(() => {
    const [of, left, at] = [lastMinute.counts(), sampler.leftOut(), new Date().toISOString()];
    sendAll(({ types }) => frameText({ event: 'counts', data: { at, last_minute: toObject(of, types), left_out: toObject(left, types) } }));
  }, countsEveryMs);
  const heartbeat = setInterval(() => sendAll(() => ': heartbeat\n\n'), heartbeatEveryMs);
  return {
    show(events) {
      const frames: Frame[] = [];
      for (const event of events) {
        const type: LiveType = event.type === 'executed' ? 'search' : event.type;
        lastMinute.add(type);
        if (!sampler.take(type)) continue;
        const frame: Frame = { place: memory.next, type, ...render(event, `${epoch}-${memory.next}`) };
        memory.add(frame);
        frames.push(frame);
      }
      if (frames.length > 0) sendAll((client) => textFor(client, frames));
    },
    gap: () => sendAll(() => frameText({ event: 'gap', data: { reason: 'events may have been missed: the connection to Redis broke off, or it lost data' } })),
    join(client) {
      if (isClosed) client.sink.end('closing');
      if (isClosed) return () => undefined;
      clients.add(client);
      send(client, 'retry: 2000\n\n');
      if (client.lastEventId !== undefined) resume(client, client.lastEventId);
      return () => void clients.delete(client);
    },
    get clients() {
      return clients.size;
    },
    close() {
      isClosed = true;
      clearInterval(counts);
      clearInterval(heartbeat);
      for (const client of clients) client.sink.end('closing');
      clients.clear();
    },
  };
}
