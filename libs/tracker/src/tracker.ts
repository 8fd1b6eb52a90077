import type { PageNavigator } from './page.ts';
import { createSender } from './sender.ts';
import type { Settings } from './settings.ts';
import { anonymousId, newId, openStore } from './store.ts';

declare const navigator: PageNavigator;

/** By the names that pages call them by; any other name is a type of event, for `track`. */
export type Tracker = Readonly<Record<string, Command>> & { readonly track: Command };
/** Arguments are whatever a page gives: the server checks what is sent. */
export type Command = (...args: readonly unknown[]) => unknown;

/** Throws where the settings lack something; whoever calls it for a page catches. Undefined: the visitor does not want to be tracked. */
export function createTracker({ key, url, persist = 'session', delayMs = 300, respectSignals }: Settings, scriptUrl: string): Tracker | undefined {
  if (respectSignals && (navigator.globalPrivacyControl || navigator.doNotTrack === '1')) return undefined;
  if (!key) throw new Error('needs key');
  const { origin } = new URL(url ?? scriptUrl);
  const senderOf = (route: string, isList: boolean) => createSender({ url: `${origin}/api/${route}?key=${key}`, isList }, openStore(persist), delayMs);
  const events = senderOf('events', true);
  const seen = senderOf('impressions', false);
  // A session is one of a tab, even where the rest is kept for longer.
  const tab = openStore(persist === 'memory' ? persist : 'session');
  const session = tab('mr_tab') ?? newId();
  tab('mr_tab', session);
  const anonymous = anonymousId(persist);
  let user: unknown = anonymous;
  return {
    track(type, sku, given) {
      const { ranking_id, rating, ...metadata } = Object(given);
      events.add({ user_id: user, asin: sku, event_type: type, session_id: session, ranking_id, rating, metadata });
    },
    impressions(rankingId, skus, first = 0) {
      const items = Array.from(Object(skus), (sku, index) => ({ sku, position: Number(first) + index }));
      while (items[0]) seen.add({ ranking_id: rankingId, items: items.splice(0, 100) });
    },
    identify: (known) => void (user = known ?? anonymous),
    user: () => user,
    flush: events.flush,
  };
}
