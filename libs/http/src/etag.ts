import { AppError } from '@millrace/service';

/** `"<content_version>.<version>"`: If-None-Match compares the whole, If-Match only the part before the dot. */
export const formatEtag = (row: { readonly content_version: number; readonly version: number }): string => `"${row.content_version}.${row.version}"`;

const bad = (detail: string): AppError => new AppError('invalid_request', `If-Match ${detail}`, { details: [{ in: 'headers', pointer: '/if-match', detail }] });

/** Content versions that the writer accepts; '*' = any. Throws precondition_required where the header is missing. */
export function parseIfMatch(header: string | undefined): '*' | readonly number[] {
  if (header === undefined || header.trim() === '')
    throw new AppError('precondition_required', 'send If-Match with the ETag that you have read, or * to write whatever is there', { details: [{ in: 'headers', pointer: '/if-match', detail: 'is required' }] });
  if (header.trim() === '*') return '*';
  return header.split(',').map((tag) => {
    const match = /^\s*"(\d{1,15})(?:\.\d{1,15})?"\s*$/.exec(tag);
    if (!match) throw bad('must be an ETag as it was answered, such as "1200.1204", or *');
    return Number(match[1]);
  });
}

/** Throws precondition_failed where the content changed since the caller read it; its message carries the current ETag. */
export function checkIfMatch(accepted: '*' | readonly number[], row: { readonly content_version: number; readonly version: number }): void {
  if (accepted === '*' || accepted.includes(row.content_version)) return;
  throw new AppError('precondition_failed', `this has changed since you read it: its ETag is now ${formatEtag(row)}`, {
    headers: { ETag: formatEtag(row) },
    details: [{ in: 'headers', pointer: '/if-match', detail: 'does not match the current ETag' }],
  });
}

/** Weak comparison (RFC 9110, 13.1.2). */
export function matchesIfNoneMatch(header: string | undefined, etag: string): boolean {
  if (header === undefined) return false;
  return header.trim() === '*' || header.split(',').some((tag) => tag.trim().replace(/^W\//, '') === etag);
}
