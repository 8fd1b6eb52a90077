import { existsSync, globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, it } from '@jest/globals';
import { loadConfig } from '@millrace/service';
import { parse } from 'yaml';
import { z } from 'zod';
import { root } from '../local/paths.ts';

const text = readFileSync(join(root, 'docker-compose.yml'), 'utf8');
const example = readFileSync(join(root, 'infra/compose.env.example'), 'utf8');
const dockerfile = readFileSync(join(root, 'infra/Dockerfile'), 'utf8');

/** ${NAME}, ${NAME:-default} and ${NAME:?message}; $$ is a plain dollar. */
const VARIABLE = /\$\$|\$\{(\w+)(?:(:[-?])([^}]*))?\}/g;
const variables = [...text.matchAll(VARIABLE)].flatMap(([, name, kind, rest]) => (name === undefined ? [] : [{ name, kind: kind ?? '', rest: rest ?? '' }]));
const required = new Set(variables.filter(({ kind }) => kind === ':?').map(({ name }) => name));
const filledIn = text.replace(VARIABLE, (_all, name: string | undefined, kind: string | undefined, rest: string | undefined) => {
  if (name === undefined) return '$';
  return kind === ':?' ? 'secret' : (rest ?? '');
});

const condition = z.object({ condition: z.enum(['service_healthy', 'service_started', 'service_completed_successfully']), required: z.boolean().default(true) });
const service = z.looseObject({
  image: z.string(),
  build: z.object({ context: z.string(), dockerfile: z.string(), args: z.object({ APP: z.string() }) }).optional(),
  restart: z.string(),
  read_only: z.boolean().default(false),
  cap_drop: z.array(z.string()).default([]),
  security_opt: z.array(z.string()).default([]),
  // An empty default reads as null in YAML.
  environment: z.record(z.string(), z.string().nullable().transform((value) => value ?? '')).default({}),
  env_file: z.array(z.object({ path: z.string(), required: z.literal(false) })).default([]),
  ports: z.array(z.string()).default([]),
  expose: z.array(z.string()).default([]),
  volumes: z.array(z.string()).default([]),
  networks: z.array(z.string()).default([]),
  depends_on: z.record(z.string(), condition).default({}),
  healthcheck: z.looseObject({ disable: z.boolean().default(false) }).optional(),
  profiles: z.array(z.string()).default([]),
  deploy: z.object({ resources: z.object({ limits: z.object({ cpus: z.string(), memory: z.string() }) }) }).optional(),
});
const composeSchema = z.looseObject({ services: z.record(z.string(), service), networks: z.record(z.string(), z.unknown()), volumes: z.record(z.string(), z.unknown()) });
const compose = composeSchema.parse(parse(filledIn, { merge: true }));
type Service = z.output<typeof service>;
const all = Object.entries(compose.services);
const apps = all.flatMap(([name, one]) => (one.build ? [{ name, one, app: one.build.args.APP }] : []));
const longRunning = apps.filter(({ one }) => one.restart !== 'no');

const configModule = z.object({ configSchema: z.custom<z.ZodType>((value) => value instanceof z.ZodType) });
async function configSchemaOf(app: string): Promise<z.ZodType | undefined> {
  const file = join(root, 'apps', app, 'src', 'config.ts');
  if (!existsSync(file)) return undefined;
  const loaded: unknown = await import(pathToFileURL(file).href);
  return configModule.parse(loaded).configSchema;
}

/** Ports that a service listens on: what it exposes, and the two of an app. */
const portsOf = ({ expose, environment }: Service): string[] => [...expose, ...['PORT', 'INTERNAL_PORT'].flatMap((name) => environment[name] ?? [])];

describe('docker-compose.yml', () => {
  it('has a NATS that syncs before it acknowledges', () => {
    expect(compose.services['nats']?.volumes).toContain('./infra/nats.conf:/etc/nats/millrace.conf:ro');
    expect(readFileSync(join(root, 'infra/nats.conf'), 'utf8')).toMatch(/^\s*sync_interval: always$/m);
  });

  it.each(apps)('builds $name from files that exist', ({ one, app }) => {
    expect(existsSync(join(root, one.build?.context ?? '', one.build?.dockerfile ?? ''))).toBe(true);
    expect(existsSync(join(root, 'apps', app, 'package.json'))).toBe(true);
    expect(one.image).toBe(`millrace/${app}`);
  });

  it('has a service for every app that has a main.ts', () => {
    const names = globSync('apps/*/src/main.ts', { cwd: root }).map((file) => file.split('/')[1]);
    expect(new Set(apps.map(({ app }) => app))).toEqual(new Set(names));
  });

  it.each(all)('%s depends only on services that are there, and waits for health only where health is checked', (_name, one) => {
    for (const [target, { condition: wanted, required: isRequired }] of Object.entries(one.depends_on)) {
      const found = compose.services[target];
      expect({ target, exists: found !== undefined }).toEqual({ target, exists: true });
      const canBe = { service_healthy: found?.healthcheck?.disable === false, service_started: true, service_completed_successfully: found?.restart === 'no' };
      expect({ target, wanted, canBe: canBe[wanted] }).toEqual({ target, wanted, canBe: true });
      // A service behind a profile is not there by default.
      expect({ target, optional: !isRequired }).toEqual({ target, optional: (found?.profiles.length ?? 0) > 0 });
    }
  });

  it.each(all)('%s mounts volumes and files that exist', (_name, one) => {
    for (const [source = ''] of one.volumes.map((volume) => volume.split(':')))
      expect({ source, exists: source.startsWith('.') ? existsSync(join(root, source)) : source in compose.volumes }).toEqual({ source, exists: true });
    for (const network of one.networks) expect(Object.keys(compose.networks)).toContain(network);
  });

  it('declares no volume and no network that nobody uses', () => {
    const used = all.flatMap(([, one]) => one.volumes.map((volume) => volume.split(':')[0]));
    expect(Object.keys(compose.volumes).filter((name) => !used.includes(name))).toEqual([]);
    const networks = all.flatMap(([, one]) => one.networks);
    expect(Object.keys(compose.networks).filter((name) => !networks.includes(name))).toEqual([]);
  });

  it.each(all)('%s names only addresses that another service of the same network listens on', (_name, one) => {
    const urls = Object.entries(one.environment).filter(([, value]) => /^[a-z]+:\/\//.test(value));
    for (const [variable, value] of urls) {
      const { hostname, port } = new URL(value);
      const target = compose.services[hostname];
      expect({ variable, listens: target ? portsOf(target) : [] }).toEqual({ variable, listens: expect.arrayContaining([port]) });
      expect(target?.networks.some((network) => one.networks.includes(network))).toBe(true);
    }
  });

  it('publishes the gateway only, on the port that it listens on', () => {
    const published = all.filter(([, { ports }]) => ports.length > 0);
    expect(published.map(([name, { ports }]) => [name, ports])).toEqual([['gateway', ['127.0.0.1:8080:8080']]]);
    expect(compose.services['gateway']?.environment['PORT']).toBe('8080');
  });

  it.each(longRunning)('$name gets variables that its configuration knows, and a configuration that it takes', async ({ one, app }) => {
    const schema = await configSchemaOf(app);
    const known = schema instanceof z.ZodObject ? Object.keys(schema.shape) : [];
    const unknown = Object.keys(one.environment).filter((name) => !known.includes(name));
    expect(schema === undefined ? [] : unknown).toEqual([]);
    expect(() => schema && loadConfig(schema, { ...one.environment, NODE_ENV: 'production' })).not.toThrow();
  });

  it.each(longRunning)('$name takes its other variables from a file of its own, where there is one, which is never committed and in no image', ({ name, one }) => {
    expect(one.env_file).toEqual([{ path: `infra/${name}.env`, required: false }]);
    for (const ignore of ['.gitignore', '.dockerignore']) expect(readFileSync(join(root, ignore), 'utf8').split('\n')).toContain('infra/*.env');
  });

  it.each(longRunning)('$name mounts its own private key only', ({ name, one }) => {
    const keys = one.volumes.filter((volume) => volume.includes('/keys/'));
    expect(keys).toEqual(['keys-public:/keys/public:ro', `key-${name}:/keys/own:ro`]);
  });

  it.each(all)('%s runs without capabilities, with limits, and without new privileges', (_name, one) => {
    expect(one.cap_drop).toEqual(['ALL']);
    expect(one.security_opt).toEqual(['no-new-privileges:true']);
    expect(one.deploy?.resources.limits).toEqual({ cpus: expect.any(String), memory: expect.any(String) });
  });

  it('gives every app, Postgres and Redis a read-only root', () => {
    // Elasticsearch, Qdrant and Milvus write beside their data.
    expect(all.filter(([, { read_only }]) => !read_only).map(([name]) => name)).toEqual(['elasticsearch', 'qdrant', 'milvus']);
  });

  it('has no default password: each secret is required, or empty where its part is optional', () => {
    const secrets = variables.filter(({ name }) => /PASSWORD|SECRET|KEY/.test(name));
    expect(secrets.length).toBeGreaterThan(5);
    expect(secrets.filter(({ kind, rest }) => !(kind === ':?' || (kind === ':-' && rest === '')))).toEqual([]);
    expect(text).not.toMatch(/(PASSWORD|SECRET): *["']?\w/);
  });

  it('has every variable in infra/compose.env.example, required ones uncommented, and no other', () => {
    const listed = [...example.matchAll(/^(#?)([A-Z][A-Z0-9_]*)=/gm)].map(([, comment, name]) => ({ name: name ?? '', isRequired: comment === '' }));
    expect(new Set(listed.filter(({ isRequired }) => isRequired).map(({ name }) => name))).toEqual(required);
    // MILLRACE_API_KEY is for one call of the command line, not for the file.
    expect(new Set(listed.map(({ name }) => name))).toEqual(new Set(variables.map(({ name }) => name).filter((name) => name !== 'MILLRACE_API_KEY')));
  });
});

describe('the Dockerfile', () => {
  it('runs as an unprivileged user with a health check on the second port', () => {
    const last = dockerfile.slice(dockerfile.lastIndexOf('FROM '));
    expect(last).toMatch(/^USER node$/m);
    expect(last).toMatch(/HEALTHCHECK[\s\S]*INTERNAL_PORT.*\/healthz/);
  });

  it('makes every mount point of the apps, so that new volumes belong to the user', () => {
    const targets = apps.flatMap(({ one }) => one.volumes.map((volume) => volume.split(':')[1] ?? ''));
    for (const target of new Set(targets)) expect(dockerfile).toContain(` ${target} `);
  });

  it('copies only what .dockerignore lets through', () => {
    const ignored = readFileSync(join(root, '.dockerignore'), 'utf8').split('\n');
    expect(ignored).toEqual(expect.arrayContaining(['.git', '.local', 'node_modules', '**/.env']));
    for (const needed of ['apps', 'libs', 'scripts', 'package.json', 'package-lock.json', '.npmrc']) expect(ignored).not.toContain(needed);
  });
});
