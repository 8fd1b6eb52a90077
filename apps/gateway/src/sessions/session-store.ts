import { createHash, randomUUID } from 'node:crypto';
import { SESSION_LIMITS, sessionMessageSchema } from '@millrace/contracts';
import type { Session, SessionMessage, WholeSession } from '@millrace/contracts';
import { asFields, asList, asText, asTexts } from '@millrace/redis-kit';
import type { Keys, Redis, RedisScript } from '@millrace/redis-kit';
import { AppError, notFound } from '@millrace/service';
import { z } from 'zod';
import { appendScript, createScript, readScript, removeScript, replaceScript } from './session-scripts.ts';

/** Whose a session is: nobody else sees it, not even that it exists. */
export interface SessionOwner {
  readonly workspaceId: string;
  /** Id of the key, or `user:<sub>`: that one is unique within its workspace only. */
  readonly callerId: string;
  readonly user: string;
}
export interface SessionState {
  readonly title: string;
  readonly plan: WholeSession['plan'];
}
/** Versions that the writer accepts. */
export type Accepted = '*' | readonly number[];

/**
 * Conversations in Redis; each use moves the end of one on by `ttlMs`. Each change is one script, so versions have no gaps and nothing is lost between two
 * writers. @throws not_found, precondition_failed, body_too_large, conflict (too many sessions), unavailable where Redis is away or full
 */
export interface SessionStore {
  create(owner: SessionOwner, state: SessionState): Promise<WholeSession>;
  /** Without what the shopper said: however many there are, and however long, it stays small. */
  list(owner: SessionOwner): Promise<readonly Session[]>;
  get(owner: SessionOwner, id: string): Promise<WholeSession>;
  replace(owner: SessionOwner, id: string, accepted: Accepted, state: SessionState): Promise<WholeSession>;
  append(owner: SessionOwner, id: string, accepted: Accepted, message: Omit<SessionMessage, 'seq' | 'at'>): Promise<WholeSession>;
  /** Those after the place `after`. */
  messages(owner: SessionOwner, id: string, page: { readonly after: number; readonly limit: number }): Promise<readonly SessionMessage[]>;
  remove(owner: SessionOwner, id: string): Promise<void>;
  /** Every session of a user, under whichever key; how many there were. Safe to repeat. */
  eraseUser(user: string): Promise<number>;
}

export interface SessionStoreDeps {
  readonly redis: Redis;
  readonly keys: Keys;
  readonly ttlMs: number;
}

const storedMessage = sessionMessageSchema.omit({ seq: true });
const numbers = ['version', 'messages', 'stateBytes', 'messageBytes', 'created', 'updated', 'expires'] as const;
const storedNumbers = z.record(z.enum(numbers), z.coerce.number());
const storedState = z.object({ title: z.string(), plan: z.string() });
const planSchema = z.record(z.string(), z.json());
const iso = (ms: number): string => new Date(ms).toISOString();

function toSession(id: string, fields: Readonly<Record<string, unknown>>): Session {
  const row = storedNumbers.parse(Object.fromEntries(numbers.map((name) => [name, fields[name]])));
  return { id, version: row.version, messages: row.messages, bytes: row.stateBytes + row.messageBytes, created_at: iso(row.created), updated_at: iso(row.updated), expires_at: iso(row.expires) };
}
function toWholeSession(id: string, reply: unknown): WholeSession {
  const fields = Object.fromEntries(asFields(reply));
  const { title, plan } = storedState.parse(fields);
  return { ...toSession(id, fields), title, plan: planSchema.parse(JSON.parse(plan)) };
}

const tooLong = (): AppError => new AppError('body_too_large', `a session holds ${SESSION_LIMITS.bytes} bytes and ${SESSION_LIMITS.messages} messages: begin a new one, with a summary of this one in its plan`, { details: [{ in: 'body', pointer: '', detail: 'is too large for this session' }] });
const changedTo = (version: string): AppError =>
  new AppError('precondition_failed', `the session has changed since you read it: its ETag is now "${version}.${version}"`, { headers: { ETag: `"${version}.${version}"` }, details: [{ in: 'headers', pointer: '/if-match', detail: 'does not match the current ETag' }] });

/** @throws what the script refused */
function checked(id: string, reply: unknown): WholeSession {
  const [outcome, value] = asList(reply);
  if (outcome === 'absent') throw notFound(`session ${id}`);
  if (outcome === 'changed') throw changedTo(asText(value));
  if (outcome === 'long') throw tooLong();
  if (outcome === 'full') throw new AppError('conflict', `this user has ${SESSION_LIMITS.sessions} sessions under this key already: revoke one, or wait until one ends`);
  return toWholeSession(id, value);
}

async function inRedis<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw new AppError('unavailable', 'sessions cannot be reached now: Redis is away, or full', { cause: error, headers: { 'Retry-After': '1' } });
  }
}

/** Names no shopper in a key. */
const digestOf = (user: string): string => createHash('sha256').update(user).digest('hex');
/** Of one length, so that no owner's members begin like another's, whatever their names are. */
const ownerOf = ({ workspaceId, callerId }: SessionOwner): string => createHash('sha256').update(JSON.stringify([workspaceId, callerId])).digest('base64url');

export function createSessionStore({ redis, keys, ttlMs }: SessionStoreDeps): SessionStore {
  const placeOf = (owner: SessionOwner, id: string) => {
    const own = keys.sessions(digestOf(owner.user));
    const member = `${ownerOf(owner)}/${id}`;
    return { member, names: [own.session(member), own.messages(member), own.list] };
  };
  const run = async (script: RedisScript, owner: SessionOwner, id: string, args: readonly (string | number)[] = []): Promise<WholeSession> => {
    const { member, names } = placeOf(owner, id);
    return checked(id, await inRedis(script(redis, names, [Date.now(), ttlMs, member, ...args])));
  };
  const change = (script: RedisScript, { owner, id, accepted, bytes }: { owner: SessionOwner; id: string; accepted: Accepted; bytes: number }, args: readonly (string | number)[]): Promise<WholeSession> =>
    run(script, owner, id, [randomUUID(), accepted === '*' ? '*' : accepted.join(','), SESSION_LIMITS.bytes, bytes, ...args]);
  const textOf = ({ title, plan }: SessionState) => {
    const text = JSON.stringify(plan);
    return { text, bytes: Buffer.byteLength(text) + Buffer.byteLength(title) };
  };
  return {
    async create(owner, state) {
      const { text, bytes } = textOf(state);
      if (bytes > SESSION_LIMITS.bytes) throw tooLong();
      return run(createScript, owner, randomUUID(), [state.title, text, bytes, SESSION_LIMITS.sessions, `${ownerOf(owner)}/`]);
    },
    async list(owner) {
      const own = keys.sessions(digestOf(owner.user));
      const beginning = `${ownerOf(owner)}/`;
      const members = asTexts(await inRedis(redis.call('ZRANGE', [own.list, `(${Date.now()}`, '+inf', 'BYSCORE']))).filter((member) => member.startsWith(beginning));
      const found = await Promise.all(members.map(async (member) => ({ member, values: asList(await inRedis(redis.call('HMGET', [own.session(member), ...numbers]))) })));
      // One that ended meanwhile has no values.
      return found.flatMap(({ member, values }) => (values[0] === null ? [] : [toSession(member.slice(beginning.length), Object.fromEntries(numbers.map((name, place) => [name, values[place]])))])).toReversed();
    },
    get: (owner, id) => run(readScript, owner, id),
    replace(owner, id, accepted, state) {
      const { text, bytes } = textOf(state);
      return change(replaceScript, { owner, id, accepted, bytes }, [state.title, text]);
    },
    append(owner, id, accepted, message) {
      const text = JSON.stringify({ ...message, at: iso(Date.now()) });
      return change(appendScript, { owner, id, accepted, bytes: Buffer.byteLength(text) }, [text, SESSION_LIMITS.messages]);
    },
    async messages(owner, id, { after, limit }) {
      await run(readScript, owner, id);
      const texts = asTexts(await inRedis(redis.call('LRANGE', [placeOf(owner, id).names[1] ?? '', after, after + limit - 1])));
      return texts.map((text, place) => ({ seq: after + place + 1, ...storedMessage.parse(JSON.parse(text)) }));
    },
    async remove(owner, id) {
      const { member, names } = placeOf(owner, id);
      if (Number(await inRedis(removeScript(redis, names, [member]))) === 0) throw notFound(`session ${id}`);
    },
    async eraseUser(user) {
      const own = keys.sessions(digestOf(user));
      let found = 0;
      for (const member of asTexts(await inRedis(redis.call('ZRANGE', [own.list, 0, -1])))) found += Number(await inRedis(removeScript(redis, [own.session(member), own.messages(member), own.list], [member])));
      return found;
    },
  };
}
