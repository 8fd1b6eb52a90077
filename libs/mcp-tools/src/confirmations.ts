import { createHmac, hkdfSync, randomBytes, randomUUID, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';
import { RefusedError } from './refused-error.ts';

/** What a caller is asked to confirm, word for word. */
export interface Change {
  /** Workspace and id of the caller. */
  readonly caller: string;
  readonly sku: string;
  readonly stock: number;
  /** Of the product as it was shown. */
  readonly version: number;
}

export interface Confirmations {
  /** A token for this very change, good for a minute. */
  issue(change: Change): { readonly token: string; readonly expiresAt: string };
  /** The version that was shown, and the id to use the token up by. Throws RefusedError for a token that is forged, too old, or of another caller, product or number. */
  check(token: string, change: Omit<Change, 'version'>): { readonly version: number; readonly id: string };
}

export const CONFIRM_SECONDS = 60;
const MAX_TOKEN = 2_000;

const claims = z.strictObject({ id: z.uuid(), caller: z.string(), sku: z.string(), stock: z.int(), version: z.int(), until: z.int() });
const wrong = (detail: string): RefusedError => new RefusedError({ code: 'confirmation_refused', detail: `${detail}: call update_stock without confirm_token to see what would change now`, pointer: '/confirm_token' });

function parsed(text: string): z.output<typeof claims> | undefined {
  try {
    return claims.safeParse(JSON.parse(Buffer.from(text, 'base64url').toString('utf8'))).data;
  } catch {
    // What is not JSON was not made here.
    return undefined;
  }
}

/**
 * Tokens that are signed with HMAC-SHA-256 (RFC 2104) under a key that is derived of `secret` (HKDF, RFC 5869): every instance with the same secret takes
 * the tokens of the others. Nothing is kept: that a token acts once is the business of whoever uses its id up.
 */
export function createConfirmations({ secret = randomBytes(32), now = Date.now }: { readonly secret?: Uint8Array | string; readonly now?: () => number } = {}): Confirmations {
  const key = Buffer.from(hkdfSync('sha256', secret, '', 'millrace mcp confirmations', 32));
  const sign = (text: string): Buffer => createHmac('sha256', key).update(text).digest();
  return {
    issue(change) {
      const until = now() + CONFIRM_SECONDS * 1_000;
      const body = Buffer.from(JSON.stringify({ id: randomUUID(), ...change, until } satisfies z.input<typeof claims>)).toString('base64url');
      return { token: `${body}.${sign(body).toString('base64url')}`, expiresAt: new Date(until).toISOString() };
    },
    check(token, { caller, sku, stock }) {
      const [body = '', signature = '', ...rest] = token.length > MAX_TOKEN ? [] : token.split('.');
      const given = Buffer.from(signature, 'base64url');
      const own = sign(body);
      if (rest.length > 0 || given.length !== own.length || !timingSafeEqual(given, own)) throw wrong('this confirm_token was not made here');
      const found = parsed(body);
      if (!found) throw wrong('this confirm_token was not made here');
      if (found.until <= now()) throw wrong(`this confirm_token is older than ${CONFIRM_SECONDS} seconds`);
      if (found.caller !== caller) throw wrong('this confirm_token was made for another caller');
      if (found.sku !== sku || found.stock !== stock) throw wrong('this confirm_token confirms another sku or another number');
      return { version: found.version, id: found.id };
    },
  };
}
