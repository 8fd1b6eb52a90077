import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createApiKey, createPublishableKey } from '@millrace/service';
import type { AppEnvironment, StackAddresses } from './app-env.ts';
import { appNames, existingApps, freeStackPorts, portNeeds, serverLabel } from './apps.ts';
import type { AppName, StackPorts } from './apps.ts';
import { migrate } from './migrate.ts';
import { requirePorts } from './ports.ts';
import { findProcess, forgetProcess, rememberProcess, stopOrphans } from './processes.ts';
import { loadSampleSubscribers } from './sample-subscribers.ts';
import { isCatalogueEmpty, isSampleVisible, loadSample } from './sample.ts';
import { ensureServiceKeys, keptSecret, newPassword, writeSecret } from './secrets.ts';
import type { LocalServer } from './server.ts';
import { startServers } from './servers.ts';
import type { LocalServers } from './servers.ts';
import { startApps } from './stack-apps.ts';
import type { StartedApps } from './stack-apps.ts';
import type { Stack, StackOptions } from './stack-types.ts';

export type { ExternalServers, RunningApp, Stack, StackOptions } from './stack-types.ts';

const OWNER = 'runner';
const APP_GRACE_MS = 6_500;
const STOP_BUDGET_MS = 9_000;

/** One start at a time in a state folder; what a killed one left behind is stopped. */
async function takeOver(stateDir: string, onEvent: (text: string) => void): Promise<void> {
  const owner = findProcess(stateDir, OWNER);
  if (owner !== undefined && owner.pid !== process.pid) throw new Error(`Millrace already runs with ${stateDir} (process ${owner.pid}): stop it with Ctrl-C, or set MILLRACE_STATE_DIR and MILLRACE_PORT_BASE for a second one`);
  rememberProcess(stateDir, { name: OWNER, pid: process.pid, stopBy: 'SIGTERM' });
  const orphans = await stopOrphans(stateDir);
  if (orphans.length > 0) onEvent(`an earlier run was killed: stopped what it left behind (${orphans.join(', ')})`);
}

/** Before anything is started: one message names every taken port. */
async function requireFreePorts(ports: StackPorts, names: readonly AppName[], external: StackOptions['external']): Promise<void> {
  const servers = [external?.databaseUrl === undefined && 'postgres', external?.redisUrl === undefined && 'bus', external?.cacheRedisUrl === undefined && 'cache', external?.ut360RedisUrl === undefined && 'serving'] as const;
  await requirePorts([...servers.flatMap((key) => (key === false ? [] : [{ port: ports[key], ...serverLabel(key) }])), ...portNeeds(ports, names)]);
}

function startOwnServers({ stateDir, external = {}, durable = true }: StackOptions, ports: StackPorts): Promise<LocalServers> {
  return startServers({
    stateDir,
    durable,
    ports: {
      ...(external.databaseUrl === undefined && { postgres: ports.postgres }),
      ...(external.redisUrl === undefined && { bus: ports.bus }),
      ...(external.cacheRedisUrl === undefined && { cache: ports.cache }),
      ...(external.ut360RedisUrl === undefined && { serving: ports.serving }),
    },
  });
}

function addressesOf({ postgres, bus, cache, serving }: LocalServers, external: StackOptions['external']): StackAddresses {
  return {
    databaseUrl: external?.databaseUrl ?? postgres?.url ?? '',
    redisUrl: external?.redisUrl ?? bus?.url ?? '',
    cacheRedisUrl: external?.cacheRedisUrl ?? cache?.url ?? '',
    ut360RedisUrl: external?.ut360RedisUrl ?? serving?.url ?? '',
  };
}

async function refuse(): Promise<never> {
  throw new Error('this server is external: it is not ours to stop');
}

/** Stands for a server that is not ours to kill. */
const serverOrExternal = (server: LocalServer | undefined, url: string): LocalServer => server ?? { url, pid: 0, kill: refuse, restart: refuse, stop: refuse };

export const developmentKeyFileOf = (stateDir: string): string => join(stateDir, 'secrets', 'development-key');
/** The development key for pages of this machine. */
export const publishableKeyFileOf = (stateDir: string): string => join(stateDir, 'secrets', 'development-publishable-key');
export const stackFileOf = (stateDir: string): string => join(stateDir, 'stack.json');

async function prepare(options: StackOptions, ports: StackPorts, servers: LocalServers): Promise<AppEnvironment> {
  const { stateDir } = options;
  const developmentKeyFile = developmentKeyFileOf(stateDir);
  keptSecret(developmentKeyFile, createApiKey);
  const publishableKeyFile = publishableKeyFileOf(stateDir);
  keptSecret(publishableKeyFile, createPublishableKey);
  mkdirSync(join(stateDir, 'embedded'), { recursive: true, mode: 0o700 });
  const addresses = addressesOf(servers, options.external);
  return {
    stateDir,
    ports,
    addresses,
    keys: ensureServiceKeys(join(stateDir, 'secrets', 'keys'), appNames),
    developmentKeyFile,
    publishableKeyFile,
    userPseudonymSecret: keptSecret(join(stateDir, 'secrets', 'user-pseudonym-secret'), newPassword),
    userErasureSecret: keptSecret(join(stateDir, 'secrets', 'user-erasure-secret'), newPassword),
    ut360ErasureSecret: (options.inheritsShell === true ? process.env['UT360_ERASURE_SECRET'] : undefined) ?? keptSecret(join(stateDir, 'secrets', 'ut360-erasure-secret'), newPassword),
    roles: await migrate(stateDir, addresses.databaseUrl),
    inheritsShell: options.inheritsShell ?? false,
    extra: options.env ?? {},
  };
}

/** Once for each state folder, and never into a catalogue that has products. */
async function loadSampleOnce({ stateDir, sample = false, onEvent }: StackOptions, gateway: { url: string; apiKey: string }): Promise<number> {
  const marker = join(stateDir, 'sample-loaded');
  if (!sample || existsSync(marker)) return 0;
  const loaded = (await isCatalogueEmpty(gateway)) ? await loadSample(gateway) : 0;
  if (loaded > 0 && !(await isSampleVisible(gateway))) onEvent?.('the sample catalogue is not found by search and similarity yet: see the logs of es-sync-worker and embedding-worker');
  writeFileSync(marker, `${new Date().toISOString()}\n`);
  return loaded;
}

/** Once for each state folder, and never where a load was before. */
async function loadSubscribersOnce({ stateDir, sample = false }: StackOptions, env: Readonly<Record<string, string>>): Promise<number> {
  const marker = join(stateDir, 'sample-subscribers-loaded');
  const databaseUrl = env['UT360_LOOKUP_DATABASE_URL'];
  if (!sample || databaseUrl === undefined || existsSync(marker)) return 0;
  const loaded = await loadSampleSubscribers({ databaseUrl, redisUrl: env['UT360_REDIS_URL'] ?? '' });
  writeFileSync(marker, `${new Date().toISOString()}\n`);
  return loaded;
}

/** `ownDatabaseUrl`: of the server that the stack runs; that of somebody else's is not written down. */
function describeStack(environment: AppEnvironment, gatewayUrl: string, apiKey: string, ownDatabaseUrl: string | undefined): Record<string, string> {
  const { stateDir, developmentKeyFile, publishableKeyFile, addresses, ports, roles, ut360ErasureSecret } = environment;
  const stackFile = stackFileOf(stateDir);
  writeSecret(stackFile, `${JSON.stringify({ gatewayUrl, ownerDatabaseUrl: ownDatabaseUrl, developmentKeyFile, publishableKeyFile, pid: process.pid, logs: join(stateDir, 'logs'), ports, ut360: { databaseUrl: roles['UT360_LOOKUP_DATABASE_URL'], redisUrl: addresses.ut360RedisUrl, erasureSecret: ut360ErasureSecret } }, null, 2)}\n`);
  return {
    ...roles,
    DATABASE_URL: addresses.databaseUrl,
    REDIS_URL: addresses.redisUrl,
    CACHE_REDIS_URL: addresses.cacheRedisUrl,
    UT360_REDIS_URL: addresses.ut360RedisUrl,
    EMBEDDED_DATA_DIR: join(stateDir, 'embedded'),
    MILLRACE_URL: gatewayUrl,
    MILLRACE_API_KEY: apiKey,
    MILLRACE_STACK_FILE: stackFile,
  };
}

interface Parts {
  servers?: LocalServers;
  apps?: StartedApps;
}

/** Apps first, so that nothing is written to servers that are going away. */
async function stopParts(stateDir: string, { servers, apps }: Parts): Promise<void> {
  const started = Date.now();
  rmSync(stackFileOf(stateDir), { force: true });
  await apps?.stop(APP_GRACE_MS);
  await servers?.stop(Math.max(1_500, STOP_BUDGET_MS - (Date.now() - started)));
  forgetProcess(stateDir, OWNER);
}

async function assemble(options: StackOptions, parts: Parts): Promise<Omit<Stack, 'stop'>> {
  const { stateDir, external, signal, onEvent } = options;
  const names = options.apps ?? existingApps();
  const ports = options.ports === 'free' ? await freeStackPorts() : options.ports;
  if (options.ports !== 'free') await requireFreePorts(ports, names, external);
  const servers = (parts.servers = await startOwnServers(options, ports));
  signal?.throwIfAborted();
  const environment = await prepare(options, ports, servers);
  signal?.throwIfAborted();
  const apps = (parts.apps = startApps({ names, environment, signal, onEvent }));
  await apps.ready();
  const gatewayUrl = `http://127.0.0.1:${ports.apps.gateway.http}`;
  const apiKey = readFileSync(environment.developmentKeyFile, 'utf8').trim();
  const env = describeStack(environment, gatewayUrl, apiKey, servers.postgres?.url);
  const [sampleLoaded, subscribersLoaded] = await Promise.all([loadSampleOnce(options, { url: gatewayUrl, apiKey }), loadSubscribersOnce(options, env)]);
  return {
    stateDir,
    gatewayUrl,
    apiKey,
    env,
    apps: apps.running,
    app: (name) => {
      const found = apps.running.find((app) => app.name === name);
      if (found === undefined) throw new Error(`${name} is not part of this stack`);
      return found;
    },
    postgres: serverOrExternal(servers.postgres, environment.addresses.databaseUrl),
    redis: serverOrExternal(servers.bus, environment.addresses.redisUrl),
    cacheRedis: serverOrExternal(servers.cache, environment.addresses.cacheRedisUrl),
    ut360Redis: serverOrExternal(servers.serving, environment.addresses.ut360RedisUrl),
    sampleLoaded,
    subscribersLoaded,
  };
}

/**
 * The whole of Millrace on this machine: servers, keys, migrations, apps, all ready when it resolves. It starts completely or
 * leaves nothing running. What an earlier run with the same state folder left behind is stopped first.
 */
export async function startStack(options: StackOptions): Promise<Stack> {
  mkdirSync(join(options.stateDir, 'logs'), { recursive: true, mode: 0o700 });
  await takeOver(options.stateDir, options.onEvent ?? (() => undefined));
  const parts: Parts = {};
  let stopping: Promise<void> | undefined;
  const stop = (): Promise<void> => (stopping ??= stopParts(options.stateDir, parts));
  try {
    const running = await assemble(options, parts);
    return Object.assign(running, { stop });
  } catch (error) {
    await stop();
    throw error;
  }
}
