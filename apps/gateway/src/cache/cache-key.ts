import { createHash } from 'node:crypto';
import type { Request } from 'express';
import { LRUCache } from 'lru-cache';
import type { KeyOwner } from '../key.repository.ts';
import type { CachedOperation, ParsedRequest } from './cached-operations.ts';

/** What a request asks for. */
export interface Asked extends ParsedRequest {
  /** The same text for requests that mean the same. */
  readonly text: string;
  /** Names of its answers by who asks, once they are made. */
  readonly keys: Map<string, string>;
}

const sorted = (values: Readonly<Record<string, unknown>>): unknown[] => Object.entries(values).filter(([, value]) => value !== undefined).toSorted(([a], [b]) => (a < b ? -1 : 1));

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value);

const recordOf = (value: unknown): Record<string, unknown> => (isRecord(value) ? value : {});

/** Parameters as the service's schemas read them; undefined where they are refused: the service says what is wrong. */
function read({ operation, bypassedBy }: CachedOperation, req: Request): Asked | undefined {
  const params = operation.params?.safeParse(req.params) ?? { success: true, data: {} };
  const query = operation.query?.safeParse(req.query) ?? { success: Object.keys(req.query).length === 0, data: {} };
  if (!params.success || !query.success) return undefined;
  const [inPath, inQuery] = [recordOf(params.data), recordOf(query.data)];
  if (bypassedBy.some((name) => inQuery[name] !== undefined && inQuery[name] !== false)) return undefined;
  return { params: inPath, query: inQuery, text: JSON.stringify([sorted(inPath), sorted(inQuery)]), keys: new Map() };
}

const REMEMBERED = 5_000;
/** Longer ones are not asked for again and again. */
const LONGEST_URL = 500;

/** What requests of an operation ask for; undefined: not for the cache. Remembers addresses that come often. */
export function createRequestReader(cached: CachedOperation): (req: Request) => Asked | undefined {
  const known = new LRUCache<string, { readonly asked: Asked | undefined }>({ max: REMEMBERED });
  return (req) => {
    const { originalUrl } = req;
    if (originalUrl.length > LONGEST_URL) return read(cached, req);
    let found = known.get(originalUrl);
    if (!found) {
      found = { asked: read(cached, req) };
      known.set(originalUrl, found);
    }
    return found.asked;
  };
}

/** Different sets of scopes for which a name is remembered. */
const ALLOWANCES = 16;
const allowances = new WeakMap<KeyOwner, string>();

/** Everything of a caller that an answer may depend on: its scopes, and the workspace of its key. Never the key itself. */
function allowanceOf(owner: KeyOwner): string {
  const known = allowances.get(owner);
  if (known !== undefined) return known;
  const allowance = JSON.stringify([owner.scopes.toSorted(), 'workspaceId' in owner ? owner.workspaceId : null]);
  allowances.set(owner, allowance);
  return allowance;
}

/** Names an answer in Redis: the operation, and a SHA-256 of who may see it and what was asked for (queries are long, and may be personal). */
export function cacheKey(operationId: string, owner: KeyOwner, { text, keys }: Asked): string {
  const allowance = allowanceOf(owner);
  const known = keys.get(allowance);
  if (known !== undefined) return known;
  const key = `${operationId}:${createHash('sha256').update(allowance).update('\n').update(text).digest('base64url')}`;
  if (keys.size < ALLOWANCES) keys.set(allowance, key);
  return key;
}
