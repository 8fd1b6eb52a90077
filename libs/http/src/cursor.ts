import { AppError } from '@millrace/service';
import type { z } from 'zod';

/** Opaque to clients: base64url of JSON. */
export const encodeCursor = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');

/** Throws invalid_request for anything that `encodeCursor` did not make of such a value. */
export function decodeCursor<S extends z.ZodType>(schema: S, cursor: string): z.output<S> {
  try {
    return schema.parse(JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8')));
  } catch (error) {
    throw new AppError('invalid_request', 'the cursor is not one that this endpoint answered', { cause: error, details: [{ in: 'query', pointer: '/cursor', detail: 'must be page.next of the answer before' }] });
  }
}
