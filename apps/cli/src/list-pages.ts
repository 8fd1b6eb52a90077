import { UsageError } from './usage-error.ts';

export interface Listed<T> {
  readonly items: readonly T[];
  readonly hasMore: boolean;
}

const PAGE = 200;
const MAX_LISTED = 100_000;

/** The first `limit` (1 to 100,000, else UsageError), page by page. */
export async function listPages<T>(limit: number, read: (query: { readonly limit: number; readonly cursor: string | undefined }) => Promise<{ readonly data: readonly T[]; readonly page: { readonly next: string | null } }>): Promise<Listed<T>> {
  if (!Number.isInteger(limit) || limit < 1 || limit > MAX_LISTED) throw new UsageError(`--limit must be a whole number from 1 to ${MAX_LISTED}`);
  const items: T[] = [];
  for (let cursor: string | undefined; ; ) {
    const { data, page } = await read({ limit: Math.min(PAGE, limit - items.length), cursor });
    items.push(...data);
    if (page.next === null || items.length >= limit) return { items, hasMore: page.next !== null };
    cursor = page.next;
  }
}
