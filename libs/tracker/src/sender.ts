import type { PageNavigator, PageWindow } from './page.ts';
import { newId } from './store.ts';
import type { Store } from './store.ts';

declare const navigator: PageNavigator;
declare const addEventListener: PageWindow['addEventListener'];
declare const setTimeout: PageWindow['setTimeout'];
declare const clearTimeout: PageWindow['clearTimeout'];

/** Something for the gateway that was not answered yet. */
export interface Pending {
  /** The event's id: however often it is sent, it counts once. */
  readonly id: string;
  readonly at: number;
  readonly event?: object | undefined;
  /** Instead of an event: products of a list that came into view. They go alone. */
  readonly seen?: object | undefined;
}

export interface Sender {
  readonly add: (body: Pick<Pending, 'event' | 'seen'>) => void;
  /** Sends what waits, one request at a time. */
  readonly flush: () => void;
}

const MAX_EVENTS = 50;
const MAX_WAITING = 300;
const MAX_BACKOFF_MS = 60_000;

/** 4xx says that it would be refused again; 0 stands for no answer. */
const isTemporary = (status: number): boolean => !status || status === 408 || status === 429 || status > 499;

/** Of a route of the gateway. */
type Address = (route: string) => string;

interface Request { readonly part: readonly Pending[]; readonly to: string; readonly body: string }

/**
 * `skewMs`: clock of the server minus that of this machine. Until it is known, the server's own time of arrival counts for what is not late: wrong clocks
 * are common, and an event of the future or of an hour ago is no news to it.
 */
const toWire = ({ id, at, event, seen }: Pending, skewMs: number | undefined): object =>
  seen ?? { ...event, event_id: id, timestamp: skewMs === undefined && Date.now() - at < MAX_BACKOFF_MS ? undefined : at + (skewMs ?? 0) };

/** The first of them that fit into one request. */
function nextRequest(list: readonly Pending[], address: Address, skewMs: number | undefined): Request {
  // At most three bytes each: below the 64 kB that browsers let a page send while it goes.
  const maxCharacters = 20_000;
  const part: Pending[] = [];
  let body = '';
  for (const one of list) {
    const text = JSON.stringify(toWire(one, skewMs));
    if (part[0] && (one.seen || body.length + text.length > maxCharacters || part[MAX_EVENTS - 1])) break;
    part.push(one);
    if (one.seen) return { part, to: address('impressions'), body: text };
    body += (body && ',') + text;
  }
  return { part, to: address('events'), body: `[${body}]` };
}

// Text, and the key in the address: no preflight, and the same for sendBeacon, which sets no header.
const post = ({ to, body }: Request) => fetch(to, { method: 'POST', body, keepalive: true, signal: AbortSignal.timeout?.(15_000) });

/** Whatever has no answer yet, because nobody will read one. It stays in the store: the next page sends it again, and it counts once. */
function sendLast(rest: readonly Pending[], address: Address, skewMs: number | undefined): void {
  while (rest[0]) {
    const request = nextRequest(rest, address, skewMs);
    if (!navigator.sendBeacon?.(request.to, request.body)) post(request).catch(() => undefined);
    rest = rest.slice(request.part.length);
  }
}

/** What an earlier page of this visitor has not got rid of. */
// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- our own text; a foreign one is refused by the server
const keptIn = (store: Store): Pending[] => store.names().flatMap((name) => (name.startsWith('mr_e') ? [JSON.parse(store(name) ?? '{}') as Pending] : []));

/** What waits in the page and in its store goes to the gateway: in batches, again after a failure, and by sendBeacon when the page goes. */
export function createSender(address: Address, store: Store, delayMs: number): Sender {
  let waiting = keptIn(store);
  let timer: number | undefined;
  let isSending = false;
  let failures = 0;
  let skewMs: number | undefined;

  const drop = (isDone: (one: Pending) => boolean): void => {
    waiting = waiting.filter((one) => !isDone(one) || store(`mr_e${one.id}`, null));
  };
  const schedule = (ms: number): void => {
    clearTimeout(timer);
    timer = setTimeout(flush, ms);
  };
  const send = async (): Promise<void> => {
    const request = nextRequest(waiting, address, skewMs);
    let status = 0;
    try {
      const answer = await post(request);
      ({ status } = answer);
      const date = Date.parse(answer.headers.get('date') ?? '');
      if (date) skewMs = date - Date.now();
    } catch {
      // No answer: again, later.
    }
    failures = isTemporary(status) ? failures + 1 : 0;
    if (!failures) drop((one) => request.part.includes(one));
    isSending = false;
    if (waiting[0]) schedule(failures && Math.min(MAX_BACKOFF_MS, 1_000 * 2 ** failures) * (0.5 + Math.random() / 2));
  };
  function flush(): void {
    // The server knows an event's id for an hour. What is sent again after that could count twice, so it is given up before.
    const keepMs = 3_000_000;
    drop(({ at }) => Date.now() - at > keepMs);
    if (isSending || !waiting[0]) return;
    isSending = true;
    void send();
  }
  addEventListener('pagehide', () => sendLast(waiting, address, skewMs));
  addEventListener('online', flush);
  // It bubbles; when the page is hidden, and when it is seen again.
  addEventListener('visibilitychange', flush);
  schedule(delayMs);
  return {
    add(body) {
      const pending = { id: newId(), at: Date.now(), ...body };
      store(`mr_e${pending.id}`, JSON.stringify(pending));
      waiting.push(pending);
      if (waiting.length > MAX_WAITING) drop((one) => one === waiting[0]);
      if (!isSending && !failures) schedule(waiting.length < MAX_EVENTS ? delayMs : 0);
    },
    flush,
  };
}
