import { createHmac } from 'node:crypto';

/** The same name for the same user, and nobody can tell or test whose it is without the secret. */
export type Pseudonym = (user: string) => string;

/**
 * HMAC-SHA-256 (RFC 2104) under the secret, cut to 132 bits: `u_` and 22 characters of base64url. Every service with the same secret gives a
 * user the same pseudonym, so that what is kept under it can be found and erased; another secret cuts the tie to all that was kept.
 */
export const createPseudonym = (secret: string): Pseudonym => (user) => `u_${createHmac('sha256', secret).update(user).digest('base64url').slice(0, 22)}`;
