import { hash, randomBytes } from 'node:crypto';

/** API keys: `mr_` and 256 random bits. Only their SHA-256 is stored: there is nothing to guess, so no slow hash is needed. */
export const createApiKey = (): string => `mr_${randomBytes(32).toString('base64url')}`;
/** A key for browsers: anybody can read it in the page, so it may only send events, and only from its origins. */
export const createPublishableKey = (): string => `mr_pub_${randomBytes(32).toString('base64url')}`;
export const hashApiKey = (key: string): string => hash('sha256', key, 'hex');
export const isApiKey = (text: string): boolean => /^mr_[\w-]{20,100}$/.test(text);
