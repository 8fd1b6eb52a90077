import { join } from 'node:path';
import { appNames, variablePrefix } from './apps.ts';
import type { AppName, StackPorts } from './apps.ts';
import type { ServiceKeys } from './secrets.ts';

export interface StackAddresses {
  readonly databaseUrl: string;
  readonly redisUrl: string;
  readonly cacheRedisUrl: string;
  readonly ut360RedisUrl: string;
}

export interface AppEnvironment {
  readonly stateDir: string;
  readonly ports: StackPorts;
  readonly addresses: StackAddresses;
  readonly keys: ServiceKeys;
  readonly developmentKeyFile: string;
  readonly publishableKeyFile: string;
  /** What the pseudonyms of users are made with. */
  readonly userPseudonymSecret: string;
  /** What erased users are recognised by. */
  readonly userErasureSecret: string;
  /** What erased subscribers are recognised by. */
  readonly ut360ErasureSecret: string;
  /** <APP>_DATABASE_URL of every app, as the migrator wrote them. */
  readonly roles: Readonly<Record<string, string>>;
  /** Does the user's shell speak to the apps (`npm start`)? A test's stack takes nothing from it that changes what it does. */
  readonly inheritsShell: boolean;
  /** What the caller sets for all apps; wins. */
  readonly extra: Readonly<Record<string, string>>;
}

/** Addresses of the services, for whoever calls them. */
function serviceUrls({ apps }: StackPorts): Record<string, string> {
  return Object.fromEntries(
    appNames.flatMap((name) => {
      const { http, internal } = apps[name];
      const prefix = variablePrefix(name);
      return [...(http === undefined ? [] : [[`${prefix}_URL`, `http://127.0.0.1:${http}`]]), [`${prefix}_INTERNAL_URL`, `http://127.0.0.1:${internal}`]];
    }),
  );
}

/** Not for services, or set by other tools on this machine: the owner's login above all. */
const WITHHELD = /^(DATABASE_URL|POSTGRES_\w+|REDIS_(HOST|PORT|PASSWORD|DB)|PORT|HOST|INTERNAL_PORT|npm_\w+|INIT_CWD|TEST_\w+|MILLRACE_\w+)$/;
const NEUTRAL = /^(PATH|HOME|USER|LANG|LC_\w+|TZ|TMPDIR|NODE_\w+|OTEL_\w+)$/;

/** The shop's secrets are for the one app that needs them. */
const OF_POS = /^(KIOTVIET_\w+|POS_ENCRYPTION_KEYS)$/;

function inherited(name: AppName, own: string, inheritsShell: boolean): Record<string, string> {
  const isWanted = (key: string): boolean => (inheritsShell ? !WITHHELD.test(key) && (name === 'pos' || !OF_POS.test(key)) && (!key.endsWith('_DATABASE_URL') || key === own) : NEUTRAL.test(key));
  return Object.fromEntries(Object.entries(process.env).flatMap(([key, value]) => (value !== undefined && isWanted(key) ? [[key, value]] : [])));
}

/** Environment of one app: what it was given by the caller's shell, its own database login only, and the addresses of this stack. */
export function appEnvironment(name: AppName, stack: AppEnvironment): Record<string, string> {
  const { http, internal } = stack.ports.apps[name];
  const own = `${variablePrefix(name)}_DATABASE_URL`;
  const given = inherited(name, own, stack.inheritsShell);
  const database = given[own] ?? stack.roles[own];
  return {
    LOG_LEVEL: 'info',
    ...given,
    HOST: '127.0.0.1',
    ...serviceUrls(stack.ports),
    ...(name === 'gateway' ? { DEVELOPMENT_KEY_FILE: stack.developmentKeyFile, DEVELOPMENT_PUBLISHABLE_KEY_FILE: stack.publishableKeyFile, HOST: process.env['MILLRACE_HOST'] ?? '127.0.0.1' } : {}),
    ...(name === 'catalog-api' ? { USER_PSEUDONYM_SECRET: given['USER_PSEUDONYM_SECRET'] ?? stack.userPseudonymSecret } : {}),
    ...(name === 'event-ingest' || name === 'recommender' ? { USER_ERASURE_SECRET: given['USER_ERASURE_SECRET'] ?? stack.userErasureSecret } : {}),
    ...(name === 'ut360-lookup' ? { UT360_ERASURE_SECRET: stack.ut360ErasureSecret } : {}),
    ...(http === undefined ? {} : { PORT: String(http) }),
    ...(database === undefined ? {} : { [own]: database }),
    INTERNAL_HOST: '127.0.0.1',
    INTERNAL_PORT: String(internal),
    INTERNAL_JWKS_FILE: stack.keys.jwksFile,
    INTERNAL_KEY_FILE: stack.keys.keyFile(name),
    REDIS_URL: stack.addresses.redisUrl,
    CACHE_REDIS_URL: stack.addresses.cacheRedisUrl,
    UT360_REDIS_URL: stack.addresses.ut360RedisUrl,
    EMBEDDED_DATA_DIR: join(stack.stateDir, 'embedded'),
    ...stack.extra,
  };
}
