import type { PageDocument, PageWindow } from './page.ts';
import type { Persist } from './settings.ts';

declare const window: PageWindow;
declare const document: PageDocument;

/** Texts by name, in an area of the browser. Never throws: what the browser forbids or has no room for is just not kept. */
export interface Store {
  /** Without a value it reads, with null it removes. */
  (name: string, value?: string | null): string | null | void;
  names(): readonly string[];
}

export function openStore(persist: Persist): Store {
  const attempt = <T>(work: (area: PageWindow['localStorage']) => T): T | undefined => {
    try {
      return persist === 'memory' ? undefined : work(window[persist === 'local' ? 'localStorage' : 'sessionStorage']);
    } catch {
      // Forbidden or full. The page goes on as if nothing could be stored.
      return undefined;
    }
  };
  const access = (name: string, value?: string | null) =>
    attempt((area) => (value === undefined ? area.getItem(name) : value === null ? area.removeItem(name) : area.setItem(name, value)));
  return Object.assign(access, { names: () => attempt(Object.keys) ?? [] });
}

/** 128 random bits. Not randomUUID, which pages without TLS lack. */
export const newId = (): string => crypto.getRandomValues(new Uint8Array(16)).reduce((text, byte) => text + (byte + 256).toString(16).slice(1), '');

/** The anonymous id, made where there is none yet. */
export function anonymousId(persist: Persist): string {
  const store = openStore(persist);
  const isCookie = persist === 'cookie';
  const id = (isCookie ? /mr_anon=([\w:]+)/.exec(document.cookie)?.[1] : store('mr_anon')) ?? `anon:${newId()}`;
  if (isCookie) document.cookie = `mr_anon=${id};path=/;max-age=31536000;samesite=lax`;
  else store('mr_anon', id);
  return id;
}
