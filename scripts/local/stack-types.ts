import type { AppName, StackPorts } from './apps.ts';
import type { LocalServer } from './server.ts';

/** Servers of the user's own, used in place of local ones. */
export interface ExternalServers {
  readonly databaseUrl?: string | undefined;
  readonly redisUrl?: string | undefined;
  readonly cacheRedisUrl?: string | undefined;
  readonly ut360RedisUrl?: string | undefined;
}

export interface StackOptions {
  /** Where data, keys and logs are. The same folder again = the same data and keys. */
  readonly stateDir: string;
  readonly ports: 'free' | StackPorts;
  /** Set for every app; wins over everything else. */
  readonly env?: Readonly<Record<string, string>>;
  /** Default: every app that is there. */
  readonly apps?: readonly AppName[];
  /** Loads the sample catalogue where the catalogue is empty and was never loaded. */
  readonly sample?: boolean;
  /** Default true. False: no fsync, lazy commits, no append-only file: a killed server loses what it did last. */
  readonly durable?: boolean;
  readonly external?: ExternalServers;
  /** Do the apps see the variables of the user's shell? Default false: a test's stack is the same in every shell. */
  readonly inheritsShell?: boolean;
  readonly signal?: AbortSignal;
  readonly onEvent?: (text: string) => void;
}

export interface RunningApp {
  readonly name: AppName;
  /** Its API, where it has one. */
  readonly url: string | undefined;
  /** Its second port. */
  readonly internalUrl: string;
  readonly logFile: string;
  readonly pid: number | undefined;
  /** Default SIGKILL. It stays down until `restart`. */
  kill(signal?: NodeJS.Signals): Promise<void>;
  /** Resolves when it runs again, which it may be far from ready. */
  relaunch(): Promise<void>;
  /** Resolves when it is ready again. `env`: with these variables set, too, from now on. */
  restart(env?: Readonly<Record<string, string>>): Promise<void>;
  /** Resolves when /readyz answers 200. */
  ready(): Promise<void>;
}

export interface Stack {
  readonly stateDir: string;
  readonly gatewayUrl: string;
  /** The development key. */
  readonly apiKey: string;
  /** For the CLI and for tests: DATABASE_URL (owner), REDIS_URL, CACHE_REDIS_URL, UT360_REDIS_URL, MILLRACE_URL, MILLRACE_API_KEY, MILLRACE_STACK_FILE, and the <APP>_DATABASE_URL of each service. */
  readonly env: Readonly<Record<string, string>>;
  readonly apps: readonly RunningApp[];
  app(name: AppName): RunningApp;
  /** Local servers; their methods throw where an external one is used. */
  readonly postgres: LocalServer;
  readonly redis: LocalServer;
  readonly cacheRedis: LocalServer;
  readonly ut360Redis: LocalServer;
  /** Products that the sample brought in this start. */
  readonly sampleLoaded: number;
  /** Subscribers that the sample brought in this start. */
  readonly subscribersLoaded: number;
  /** Apps first, then servers; at most 10 s. Safe to call twice. */
  stop(): Promise<void>;
}
