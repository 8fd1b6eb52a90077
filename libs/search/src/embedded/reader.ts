import { SearchUnavailableError } from '../errors.ts';
import { InvalidCursorError } from '../ports.ts';
import type { RankingPart, SearchReader } from '../ports.ts';
import type { EmbeddedSearchOptions } from './admin.ts';
import type { WorkerReply } from './protocol.ts';
import { createSearchThread } from './thread.ts';

export interface EmbeddedReaderOptions extends EmbeddedSearchOptions {
  /** A query that takes longer is rejected, and the thread that is stuck in it replaced. Default 2,000. */
  readonly timeoutMs?: number;
  /** Default: the live one, whichever it is. */
  readonly index?: string;
  /** Parts of the ranking to leave out; for evaluations. */
  readonly without?: readonly RankingPart[];
}

/** Runs queries in a worker thread, off the event loop. Needs no index to open; without one its answers reject with SearchUnavailableError. */
export function openEmbeddedSearchReader({ timeoutMs = 2_000, ...data }: EmbeddedReaderOptions): SearchReader {
  const thread = createSearchThread({ ...data, timeoutMs });
  return {
    async search(query) {
      const reply = await thread.ask((id) => ({ id, kind: 'search', query }));
      if (reply.kind !== 'search') throw toError(reply);
      return reply.answer;
    },
    async suggest(prefix, limit) {
      const reply = await thread.ask((id) => ({ id, kind: 'suggest', prefix, limit }));
      if (reply.kind !== 'suggest') throw toError(reply);
      return reply.suggestions;
    },
    async versionOf(sku) {
      const reply = await thread.ask((id) => ({ id, kind: 'version', sku }));
      if (reply.kind !== 'version') throw toError(reply);
      return reply.stored;
    },
    close: () => thread.close(),
  };
}

function toError(reply: WorkerReply): Error {
  if (reply.kind !== 'error') return new Error(`unexpected reply ${reply.kind}`);
  if (reply.error === 'cursor') return new InvalidCursorError(reply.message);
  if (reply.error === 'unavailable') return new SearchUnavailableError(reply.message);
  return new Error(`search failed: ${reply.message}`);
}
