import { randomUUID } from 'node:crypto';
import { DEFAULT_WORKSPACE, ROTATION_OVERLAP_SECONDS, interactionTypes, keyNameSchema, roleNames, scopes, scopesOfRoles, workspaceIdSchema } from '@millrace/contracts';
import type { ApiKeyBody } from '@millrace/contracts';
import { createPool } from '@millrace/database';
import { createApiKey, createPublishableKey, hashApiKey } from '@millrace/service';
import type { Pool } from 'pg';
import { UsageError } from '../usage-error.ts';

async function asOwner<T>(databaseUrl: string | undefined, work: (pool: Pool) => Promise<T>): Promise<T> {
  if (databaseUrl === undefined) throw new UsageError('set DATABASE_URL to the owner of the database, or start the local stack by "npm start"');
  const pool = createPool({ url: databaseUrl, name: 'millrace-keys', max: 1 });
  try {
    return await work(pool);
  } finally {
    await pool.end();
  }
}

/** For every kind of key. */
export interface KeyOptions {
  /** Default: `default`. */
  readonly workspace?: string | undefined;
  /** An ISO 8601 time, or a number of days such as 90d; default: never. */
  readonly expires?: string | undefined;
}

const DAY_MS = 86_400_000;
const MAX_DAYS = 36_500;

function expiryOf(text: string): Date {
  const [, days] = /^(\d{1,5})d$/.exec(text) ?? [];
  const at = days === undefined ? new Date(/^\d{4}-\d\d-\d\d/.test(text) ? text : Number.NaN) : new Date(Date.now() + Math.min(Number(days), MAX_DAYS) * DAY_MS);
  if (Number.isNaN(at.getTime())) throw new UsageError(`${text} is not a time: write 2027-11-02T08:00:00Z, or a number of days such as 90d`);
  if (at.getTime() <= Date.now()) throw new UsageError(`${text} is not in the future`);
  return at;
}

/** Names are shown in terminals. */
function nameOf(text: string): string {
  const { success, data } = keyNameSchema.safeParse(text);
  if (!success) throw new UsageError('--name must be 1 to 200 characters, none of them a control character');
  return data;
}

function checkOptions({ workspace = DEFAULT_WORKSPACE, expires }: KeyOptions): { readonly workspace: string; readonly expires: Date | null } {
  if (!workspaceIdSchema.safeParse(workspace).success) throw new UsageError(`${workspace} is not a workspace: 1 to 63 lower-case letters, digits, - and _`);
  return { workspace, expires: expires === undefined ? null : expiryOf(expires) };
}

/** The scopes of roles, each once. */
export function scopesOf(roles: readonly string[]): readonly string[] {
  const known: readonly string[] = roleNames;
  const unknown = roles.find((role) => !known.includes(role));
  if (unknown !== undefined) throw new UsageError(`${unknown} is not a role: use ${roleNames.join(', ')}`);
  return scopesOfRoles(roles);
}

/** Makes an API key in the database and returns it: it is shown once, only its hash is kept. Needs the owner's DATABASE_URL. */
export async function createKey(databaseUrl: string | undefined, name: string, wanted: readonly string[], options: KeyOptions = {}): Promise<{ id: string; key: string }> {
  const known: readonly string[] = scopes;
  const unknown = wanted.find((scope) => !known.includes(scope));
  if (unknown !== undefined) throw new UsageError(`${unknown} is not a scope: use ${scopes.join(', ')}`);
  const { workspace, expires } = checkOptions(options);
  const created = { id: `key_${randomUUID()}`, key: createApiKey() };
  const values = [created.id, nameOf(name), hashApiKey(created.key), wanted, workspace, expires];
  await asOwner(databaseUrl, (pool) => pool.query('insert into gateway.api_keys (id, name, hash, scopes, workspace_id, expires_at) values ($1, $2, $3, $4, $5, $6)', values));
  return created;
}

export interface PublishableOptions extends KeyOptions {
  readonly origins: readonly string[];
  readonly eventTypes: readonly string[];
}

/** What a browser sends in `Origin`, exactly. */
function checkOrigin(origin: string): void {
  const url = URL.canParse(origin) ? new URL(origin) : undefined;
  if (!url || !/^https?:$/.test(url.protocol) || /[*,\s]/.test(origin)) throw new UsageError(`${origin} is not an origin: write scheme and host, such as https://shop.example, and one --origin for each`);
  if (url.origin !== origin) throw new UsageError(`${origin} is not what a browser sends: write ${url.origin}`);
}

/** Makes a key for pages of these origins. Only its hash is kept, like that of other keys, but anybody can read it in the page. */
export async function createPageKey(databaseUrl: string | undefined, name: string, { origins, eventTypes, ...options }: PublishableOptions): Promise<{ id: string; key: string }> {
  if (origins.length === 0) throw new UsageError('a publishable key needs at least one --origin, such as https://shop.example');
  for (const origin of origins) checkOrigin(origin);
  const known: readonly string[] = interactionTypes;
  const unknown = eventTypes.find((type) => !known.includes(type));
  if (unknown !== undefined) throw new UsageError(`${unknown} is not a type of event: use ${interactionTypes.join(', ')}`);
  const { workspace, expires } = checkOptions(options);
  const created = { id: `key_${randomUUID()}`, key: createPublishableKey() };
  const values = [created.id, nameOf(name), hashApiKey(created.key), ['events:write'], [...new Set(origins)], [...new Set(eventTypes)], workspace, expires];
  await asOwner(databaseUrl, (pool) => pool.query('insert into gateway.api_keys (id, name, hash, scopes, origins, event_types, workspace_id, expires_at) values ($1, $2, $3, $4, $5, $6, $7, $8)', values));
  return created;
}

/** Every key, oldest first; never its hash. */
export const listKeys = (databaseUrl: string | undefined): Promise<ApiKeyBody[]> =>
  asOwner(databaseUrl, async (pool) => (await pool.query<ApiKeyBody>('select * from gateway.listed_keys order by created_at, id')).rows);

/** Undefined where there is no such key. */
export const showKey = (databaseUrl: string | undefined, id: string): Promise<ApiKeyBody | undefined> =>
  asOwner(databaseUrl, async (pool) => (await pool.query<ApiKeyBody>('select * from gateway.listed_keys where id = $1', [id])).rows[0]);

const HOUR_SECONDS = 3_600;
const MAX_OVERLAP_HOURS = 720;

/** A new secret for the key: shown once. Older ones work for `overlapHours` at most, by default a day. Undefined where no such key can be rotated: it is unknown, revoked, expired, or made for development. */
export async function rotateKey(databaseUrl: string | undefined, id: string, overlapHours = ROTATION_OVERLAP_SECONDS / HOUR_SECONDS): Promise<string | undefined> {
  if (!(overlapHours >= 0 && overlapHours <= MAX_OVERLAP_HOURS)) throw new UsageError(`--overlap must be a number of hours from 0 to ${MAX_OVERLAP_HOURS}`);
  return asOwner(databaseUrl, async (pool) => {
    const found = await pool.query<{ is_publishable: boolean }>('select origins is not null as is_publishable from gateway.api_keys where id = $1', [id]);
    const key = found.rows[0]?.is_publishable === true ? createPublishableKey() : createApiKey();
    const { rows } = await pool.query<{ rotated: boolean }>('select gateway.rotate_key($1, $2, $3) as rotated', [id, hashApiKey(key), Math.round(overlapHours * HOUR_SECONDS)]);
    return rows[0]?.rotated === true ? key : undefined;
  });
}

/** False where there is no such key, or it is revoked already. The database tells the gateways; one that does not hear it refuses the key within 30 s. */
export const revokeKey = (databaseUrl: string | undefined, id: string): Promise<boolean> =>
  asOwner(databaseUrl, async (pool) => (await pool.query('update gateway.api_keys set revoked_at = now() where id = $1 and revoked_at is null', [id])).rowCount === 1);
