import { readFile } from 'node:fs/promises';
import { AppError, every } from '@millrace/service';
import type { Logger } from '@millrace/service';
import { createLocalJWKSet, createRemoteJWKSet, errors } from 'jose';
import type { JSONWebKeySet, JWTVerifyGetKey } from 'jose';
import { z } from 'zod';

export interface KeySet {
  /** The public key that a token names by its `kid`. Throws unavailable where no key was ever read; jose's own errors else. */
  readonly keyOf: JWTVerifyGetKey;
  close(): void;
}

export interface RemoteKeySetOptions {
  readonly logger: Logger;
  /** Between two questions because of an unknown kid, milliseconds. */
  readonly cooldownMs?: number;
  /** How often the keys are read again, milliseconds: one that the issuer withdrew counts at most so much longer. */
  readonly refreshMs?: number;
  readonly timeoutMs?: number;
}

const jwksSchema = z.object({ keys: z.array(z.looseObject({ kty: z.string() })) });

/** Public keys of a file; read once. */
export async function openKeyFile(file: string): Promise<KeySet> {
  const found: JSONWebKeySet = jwksSchema.parse(JSON.parse(await readFile(file, 'utf8')));
  return { keyOf: createLocalJWKSet(found), close: () => undefined };
}

/**
 * Public keys of an issuer (RFC 7517), read at the start, every ten minutes, and for a kid that is not known, then at most once in 30 s, whether the
 * address answers or not. While it is away known keys go on to count, and what they did not sign is refused at once.
 */
export function openRemoteKeySet(url: URL, { logger, cooldownMs = 30_000, refreshMs = 600_000, timeoutMs = 2_000 }: RemoteKeySetOptions): KeySet {
  const remote = createRemoteJWKSet(url, { timeoutDuration: timeoutMs });
  // Not asked of `remote`, which would read again, for every token, where the address does not answer.
  let local: JWTVerifyGetKey | undefined;
  let askedAt = -Infinity;
  let asking: Promise<void> | undefined;
  const read = async (): Promise<void> => {
    askedAt = performance.now();
    try {
      await remote.reload();
      const found = remote.jwks();
      if (found) local = createLocalJWKSet(found);
    } catch (error) {
      logger.warn({ err: error }, 'the keys of the issuer of tokens could not be read');
    } finally {
      asking = undefined;
    }
  };
  const ask = (): Promise<void> => (asking ??= read());
  void ask();
  return {
    close: every(refreshMs, { what: 'keys of the issuer of tokens', logger }, ask),
    async keyOf(header, token) {
      try {
        if (local) return await local(header, token);
      } catch (error) {
        if (!(error instanceof errors.JWKSNoMatchingKey)) throw error;
      }
      if (asking !== undefined || performance.now() - askedAt >= cooldownMs) await ask();
      if (!local) throw new AppError('unavailable', 'tokens cannot be checked now: the keys of their issuer were never read', { headers: { 'Retry-After': '5' } });
      return local(header, token);
    },
  };
}
