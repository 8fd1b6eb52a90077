import { createHash } from 'node:crypto';
import { InvalidCursorError } from '@millrace/search';
import type { SearchQuery } from '@millrace/search';
import { z } from 'zod';
import { fingerprint } from './hybrid-cursor.ts';

const HASH_BYTES = 5;
const reasons = z.enum(['timeout', 'unavailable']);
const cursorSchema = z.strictObject({
  personal: z.string(), reason: reasons.nullable(), ranking: z.uuid().nullable(),
  /** Hashes of the window's products in the order of the first page, and how many of them were shown. */
  order: z.base64url().optional(), shown: z.int().min(0).max(1_000).optional(),
  /** Behind the window: the engine's own cursor. */
  behind: z.string().optional(),
});

/** What the first page was. */
export interface FirstPage { readonly reason: z.output<typeof reasons> | null; readonly rankingId: string | null }
export interface PersonalPlace extends FirstPage {
  /** Hashes of the window's products: those that were shown, and those that come. */
  readonly shown: readonly string[];
  readonly coming: readonly string[];
  /** Set: the window has been shown. */
  readonly behind: string | undefined;
}

/** A product in a cursor: 40 bits are enough to tell a hundred apart. */
export const hashOf = (sku: string): string => createHash('sha256').update(sku).digest().subarray(0, HASH_BYTES).toString('hex');

const nameOf = (query: SearchQuery, hybrid: boolean, userId: string): string => createHash('sha256').update(JSON.stringify([fingerprint(query), hybrid, userId])).digest('base64url').slice(0, 16);

export interface Asked { readonly query: SearchQuery; readonly hybrid: boolean; readonly userId: string }

export function encodePersonalCursor({ query, hybrid, userId }: Asked, { reason, rankingId, shown, coming, behind }: PersonalPlace): string {
  const order = Buffer.from([...shown, ...coming].join(''), 'hex').toString('base64url');
  return Buffer.from(JSON.stringify({ personal: nameOf(query, hybrid, userId), reason, ranking: rankingId, ...(behind === undefined ? { order, shown: shown.length } : { behind }) })).toString('base64url');
}

/** Throws InvalidCursorError for a cursor of another search or another user, and where the synonyms or rules that apply have changed since. */
export function decodePersonalCursor({ query, hybrid, userId }: Asked, text: string): PersonalPlace {
  const cursor = cursorSchema.safeParse(parseJson(text));
  if (!cursor.success || cursor.data.personal !== nameOf(query, hybrid, userId)) throw new InvalidCursorError('the cursor belongs to another query or user');
  const { reason, ranking, order = '', shown = 0, behind } = cursor.data;
  const hashes = Buffer.from(order, 'base64url').toString('hex').match(/.{10}/g) ?? [];
  return { reason, rankingId: ranking, shown: hashes.slice(0, shown), coming: hashes.slice(shown), behind };
}

function parseJson(cursor: string): unknown {
  try {
    return JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'));
  } catch {
    return undefined;
  }
}
