import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './paths.ts';
import { freePorts } from '@millrace/testing/free-ports';
import type { PortNeed } from './ports.ts';

/** Default ports: `http` is the app's API, `internal` its second port (/metrics, /healthz, /readyz, /internal). */
const table = {
  gateway: { http: 8080, internal: 8180 },
  'catalog-api': { http: 8101, internal: 8201 },
  'embedding-worker': { internal: 8202 },
  'es-sync-worker': { http: 8103, internal: 8203 },
  'event-ingest': { http: 8104, internal: 8204 },
  recommender: { http: 8105, internal: 8205 },
  'ut360-lookup': { http: 8106, internal: 8206 },
  pos: { http: 8107, internal: 8207 },
  mcp: { http: 8108, internal: 8208 },
} as const satisfies Record<string, { http?: number; internal: number }>;

export type AppName = keyof typeof table;
const isAppName = (name: string): name is AppName => name in table;
export const appNames: readonly AppName[] = Object.keys(table).filter(isAppName);

export interface AppPorts {
  readonly http: number | undefined;
  readonly internal: number;
}
export interface StackPorts {
  readonly apps: Readonly<Record<AppName, AppPorts>>;
  readonly postgres: number;
  readonly bus: number;
  readonly cache: number;
  readonly serving: number;
}

/** CATALOG_API of catalog-api: the beginning of the app's own variables. */
export const variablePrefix = (name: string): string => name.replaceAll('-', '_').toUpperCase();

type Slot = { readonly key: string; readonly variable: string; readonly use: string; readonly port: number };

/** Every port of a stack in one order: MILLRACE_PORT_BASE counts through it. */
const slots: readonly Slot[] = [
  ...appNames.flatMap((name): Slot[] => {
    const prefix = `MILLRACE_${variablePrefix(name)}`;
    const { internal, ...rest } = table[name];
    const http: Slot[] = 'http' in rest ? [{ key: `${name}.http`, variable: `${prefix}_PORT`, use: name, port: rest.http }] : [];
    return [...http, { key: `${name}.internal`, variable: `${prefix}_INTERNAL_PORT`, use: `${name}, second port`, port: internal }];
  }),
  { key: 'postgres', variable: 'MILLRACE_POSTGRES_PORT', use: 'PostgreSQL', port: 55_432 },
  { key: 'bus', variable: 'MILLRACE_REDIS_PORT', use: 'Redis (bus)', port: 56_379 },
  { key: 'cache', variable: 'MILLRACE_CACHE_REDIS_PORT', use: 'Redis (cache)', port: 56_380 },
  { key: 'serving', variable: 'MILLRACE_SERVING_REDIS_PORT', use: 'Redis (subscribers)', port: 56_381 },
];

const numbered = (portOf: (key: string) => number): StackPorts => {
  const http = (name: AppName): number | undefined => (slots.some(({ key }) => key === `${name}.http`) ? portOf(`${name}.http`) : undefined);
  const ports = (name: AppName): AppPorts => ({ http: http(name), internal: portOf(`${name}.internal`) });
  return {
    apps: { gateway: ports('gateway'), 'catalog-api': ports('catalog-api'), 'embedding-worker': ports('embedding-worker'), 'es-sync-worker': ports('es-sync-worker'), 'event-ingest': ports('event-ingest'), recommender: ports('recommender'), 'ut360-lookup': ports('ut360-lookup'), pos: ports('pos'), mcp: ports('mcp') },
    postgres: portOf('postgres'),
    bus: portOf('bus'),
    cache: portOf('cache'),
    serving: portOf('serving'),
  };
};

function readPort(env: NodeJS.ProcessEnv, variable: string): number | undefined {
  const text = env[variable];
  if (text === undefined || text === '') return undefined;
  const port = Number(text);
  if (!Number.isInteger(port) || port < 1 || port > 65_535) throw new Error(`${variable} must be a port from 1 to 65535`);
  return port;
}

/** Ports from the environment: each one's own variable, else MILLRACE_PORT_BASE and onwards, else the defaults. */
export function portsFrom(env: NodeJS.ProcessEnv): StackPorts {
  const base = readPort(env, 'MILLRACE_PORT_BASE');
  if (base !== undefined && base + slots.length > 65_535) throw new Error('MILLRACE_PORT_BASE leaves no room for all ports');
  return numbered((key) => {
    const at = slots.findIndex((slot) => slot.key === key);
    const slot = slots[at];
    if (slot === undefined) throw new Error(`no port is called ${key}`);
    return readPort(env, slot.variable) ?? (base === undefined ? slot.port : base + at);
  });
}

/** Ports that nobody uses now. */
export async function freeStackPorts(): Promise<StackPorts> {
  const free = await freePorts(slots.length);
  return numbered((key) => free[slots.findIndex((slot) => slot.key === key)] ?? 0);
}

const need = (key: string, port: number): PortNeed[] => slots.filter((slot) => slot.key === key).map(({ use, variable }) => ({ port, use, variable }));

/** What has to be free for these apps, with the words for a clear refusal. */
export function portNeeds(ports: StackPorts, apps: readonly AppName[]): PortNeed[] {
  return apps.flatMap((name) => {
    const { http, internal } = ports.apps[name];
    return [...(http === undefined ? [] : need(`${name}.http`, http)), ...need(`${name}.internal`, internal)];
  });
}

export const serverLabel = (key: 'postgres' | 'bus' | 'cache' | 'serving'): { use: string; variable: string } => {
  const slot = slots.find((one) => one.key === key);
  return { use: slot?.use ?? key, variable: slot?.variable ?? '' };
};

/** A table of all ports for --help. */
export const portHelp = (): string => slots.map(({ variable, port, use }) => `  ${variable.padEnd(40)} ${String(port).padEnd(6)} ${use}`).join('\n');

const sourceOf = (app: string): string => join(root, 'apps', app, 'src', 'main.ts');
/** What Node runs: the app's source, or its bundle where MILLRACE_BUNDLES names a folder of bundles. */
export const mainOf = (app: string): string => {
  const bundles = process.env['MILLRACE_BUNDLES'] ?? '';
  return bundles === '' ? sourceOf(app) : join(bundles, app, 'main.js');
};
export const existingApps = (): AppName[] => appNames.filter((name) => existsSync(sourceOf(name)));
