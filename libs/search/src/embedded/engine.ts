import type { StoredVersion } from '@millrace/contracts';
import { SearchUnavailableError } from '../errors.ts';
import type { SearchAnswer, SearchQuery, Suggestion } from '../ports.ts';
import { createVocabulary } from '../vocabulary.ts';
import type { Vocabulary } from '../vocabulary.ts';
import type { WorkerData } from './protocol.ts';
import { createFileHolder } from './schema.ts';
import type { OpenFile } from './schema.ts';
import { searchDatabase } from './search.ts';
import { isFileTrouble } from './sqlite.ts';
import { suggestFromDatabase } from './suggest.ts';
import { storedVersion } from './versions.ts';

export interface Engine {
  search(query: SearchQuery): SearchAnswer;
  suggest(prefix: string, limit: number): Suggestion[];
  versionOf(sku: string): StoredVersion | undefined;
  close(): void;
}

/** The synchronous engine over one folder: follows CURRENT, unless it is to read one index. Runs in a worker thread, or for a handful of queries in the process itself. */
export function openEngine({ directory, index, without = [] }: WorkerData): Engine {
  const parts = new Set(without);
  // A reader of one index serves a validation or a trace.
  const holder = createFileHolder(directory, { busyTimeoutMs: 1_000, isReader: true, ...(index !== undefined && { index, isBrief: true }) });
  let known: { file: OpenFile; vocabulary: Vocabulary; lastId: number } | undefined;
  // Words are only ever added to the file, so that catching up reads the new ones alone.
  const vocabularyOf = (file: OpenFile) => (): Vocabulary => {
    if (known?.file !== file) known = { file, vocabulary: createVocabulary(), lastId: 0 };
    for (const [id, word] of file.db.rows('select id, word from word where id > ? order by id', known.lastId)) {
      known.vocabulary.add(String(word));
      known.lastId = Number(id);
    }
    return known.vocabulary;
  };
  const withFile = <T>(use: (file: OpenFile) => T): T => {
    try {
      return use(holder.get());
    } catch (error) {
      if (!isFileTrouble(error)) throw error;
      holder.close(); // the next query opens it anew
      throw new SearchUnavailableError(`the search index cannot be read: ${error instanceof Error ? error.message : ''}`, { cause: error });
    }
  };
  return {
    search: (query) => withFile((file) => searchDatabase(file.db, { vocabulary: vocabularyOf(file), without: parts }, query)),
    suggest: (prefix, limit) => withFile((file) => suggestFromDatabase(file.db, vocabularyOf(file), prefix, limit)),
    versionOf: (sku) => withFile((file) => storedVersion(file.db, sku)),
    close: () => holder.close(),
  };
}
