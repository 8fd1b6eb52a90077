/** Where the anonymous id and events that are not delivered yet are kept. */
export type Persist = 'memory' | 'session' | 'local' | 'cookie';

export interface Settings {
  /** A publishable key, `mr_pub_…`. */
  readonly key: string;
  /** The gateway. Default: where the script came from. */
  readonly url?: string;
  /**
   * `memory`: nothing is stored, a new page is a new visitor. `session` (default): sessionStorage of this tab. `local`: localStorage, for all tabs and later
   * visits. `cookie`: the id in the cookie `mr_anon` for a year, events in sessionStorage.
   */
  readonly persist?: Persist;
  /** Do nothing where the browser sends Do Not Track or Global Privacy Control. Default false. */
  readonly respectSignals?: boolean;
  /** Events wait so long for others, milliseconds. Default 300. */
  readonly delayMs?: number;
}
