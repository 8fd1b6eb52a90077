import { randomBytes } from 'node:crypto';

/** A name that no other test uses: for topics, keys, schemas, folders. */
export const uniqueName = (prefix = 'test'): string => `${prefix}_${randomBytes(5).toString('hex')}`;
