import type { PageNavigator, PageWindow } from './page.ts';
import { newId } from './store.ts';
import type { Store } from './store.ts';

declare const navigator: PageNavigator;
declare const addEventListener: PageWindow['addEventListener'];
declare const setTimeout: PageWindow['setTimeout'];
declare const clearTimeout: PageWindow['clearTimeout'];

/** Something for the gateway that was not answered yet. */
interface Pending {
  /** The event's id: however often it is sent, it counts once. */
  readonly id: string;
  readonly at: number;
  readonly body: object;
}

export interface Sender {
  readonly add: (body: object) => void;
  /** Sends what waits, one request at a time. */
  readonly flush: () => void;
}

export interface Route {
  readonly url: string;
  /** Takes events, many at once, each with its id and its time. Else one body a request, as it is. */
  readonly isList: boolean;
}

const MAX_EVENTS = 50;
const MAX_BACKOFF_MS = 60_000;

/** 4xx says that it would be refused again; 0 stands for no answer. */
const isTemporary = (status: number): boolean => !status || status === 408 || status === 429 || status > 499;

/**
 * `skewMs`: clock of the server minus that of this machine. Until it is known, the server's own time of arrival counts for what is not late: wrong clocks
 * are common, and an event of the future or of an hour ago is no news to it.
 */
const toWire = ({ id, at, body }: Pending, skewMs: number | undefined): object =>
  ({ ...body, event_id: id, timestamp: skewMs === undefined && Date.now() - at < MAX_BACKOFF_MS ? undefined : at + (skewMs ?? 0) });

interface Batch { readonly part: readonly Pending[]; readonly text: string }

/** The first of them that fit into one request. */
function nextBatch(list: readonly Pending[], { isList }: Route, skewMs: number | undefined): Batch {
  // At most three bytes each: below the 64 kB that browsers let a page send while it goes.
  const maxCharacters = 20_000;
  const part: Pending[] = [];
  let text = '';
  for (const one of list) {
    const next = JSON.stringify(isList ? toWire(one, skewMs) : one.body);
    if (part[0] && (!isList || text.length + next.length > maxCharacters || part[MAX_EVENTS - 1])) break;
    part.push(one);
    text += (text && ',') + next;
  }
  return { part, text: isList ? `[${text}]` : text };
}

// Text, and the key in the address: no preflight, and the same for sendBeacon, which sets no header.
const post = (url: string, body: string) => fetch(url, { method: 'POST', body, keepalive: true, signal: AbortSignal.timeout?.(15_000) });

/** Whatever has no answer yet, because nobody will read one. It stays in the store: the next page sends it again, and it counts once. */
function sendLast(rest: readonly Pending[], route: Route, skewMs: number | undefined): void {
  while (rest[0]) {
    const { part, text } = nextBatch(rest, route, skewMs);
    if (!navigator.sendBeacon?.(route.url, text)) post(route.url, text).catch(() => undefined);
    rest = rest.slice(part.length);
  }
}

/** Characters of an event's id. */
const ID_LENGTH = 32;

/** What an earlier page of this visitor has not got rid of. A name of the page's own may begin like ours, such as mr_email. */
const keptIn = (store: Store, prefix: string): Pending[] =>
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- our own text; a foreign one is refused by the server
  store.names().flatMap((name) => (name.slice(0, -ID_LENGTH) === prefix ? [JSON.parse(store(name) ?? '') as Pending] : []));

/** What waits in the page and in its store goes to the gateway: in batches, again after a failure, and by sendBeacon when the page goes. */
export function createSender(route: Route, store: Store, delayMs: number): Sender {
  const prefix = route.isList ? 'mr_e' : 'mr_i';
  let waiting = keptIn(store, prefix);
  let timer: number | undefined;
  let isSending = false;
  let failures = 0;
  let skewMs: number | undefined;

  const drop = (isDone: (one: Pending) => boolean): void => {
    waiting = waiting.filter((one) => !isDone(one) || store(prefix + one.id, null));
  };
  const schedule = (ms: number): void => {
    clearTimeout(timer);
    timer = setTimeout(flush, ms);
  };
  const send = async (): Promise<void> => {
    const { part, text } = nextBatch(waiting, route, skewMs);
    let status = 0;
    try {
      const answer = await post(route.url, text);
      ({ status } = answer);
      const date = Date.parse(answer.headers.get('date') ?? '');
      if (date) skewMs = date - Date.now();
    } catch {
      // No answer: again, later.
    }
    failures = isTemporary(status) ? failures + 1 : 0;
    if (!failures) drop((one) => part.includes(one));
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
  addEventListener('pagehide', () => sendLast(waiting, route, skewMs));
  addEventListener('online', flush);
  // It bubbles; when the page is hidden, and when it is seen again.
  addEventListener('visibilitychange', flush);
  schedule(delayMs);
  return {
    add(body) {
      const maxWaiting = 300;
      const pending = { id: newId(), at: Date.now(), body };
      store(prefix + pending.id, JSON.stringify(pending));
      waiting.push(pending);
      if (waiting.length > maxWaiting) drop((one) => one === waiting[0]);
      if (!isSending && !failures) schedule(waiting.length < MAX_EVENTS ? delayMs : 0);
    },
    flush,
  };
}
