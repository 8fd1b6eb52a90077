/** What the tracker uses of a page beyond what Node has, too. Declared here, so that nothing else is compiled with the types of browsers. */
export interface PageDocument {
  cookie: string;
  readonly currentScript: { readonly src: string } | null;
}

export interface PageNavigator {
  readonly doNotTrack?: string | null;
  readonly globalPrivacyControl?: boolean;
  sendBeacon?(url: string, body: string): boolean;
}

export interface PageWindow {
  readonly document: PageDocument;
  readonly navigator: PageNavigator;
  readonly localStorage: StorageArea;
  readonly sessionStorage: StorageArea;
  addEventListener(type: string, listener: () => void): void;
  setTimeout(work: () => void, ms: number): number;
  clearTimeout(timer: number | undefined): void;
  /** Before the script is there: a function that keeps the calls in `q`. */
  millrace?: ((...call: readonly unknown[]) => unknown) & { readonly q?: readonly Iterable<unknown>[] };
}

/** Reading it, and every call, throws where the browser forbids it. */
export interface StorageArea {
  readonly [name: string]: unknown;
  getItem(name: string): string | null;
  setItem(name: string, value: string): void;
  removeItem(name: string): void;
}
