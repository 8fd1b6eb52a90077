import type { SearchAnswer, SearchQuery, Suggestion } from '../ports.ts';
import { createVocabulary } from '../vocabulary.ts';
import type { Vocabulary } from '../vocabulary.ts';
import { createFileHolder } from './schema.ts';
import type { OpenFile } from './schema.ts';
import { searchDatabase } from './search.ts';
import { suggestFromDatabase } from './suggest.ts';

export interface Engine {
  search(query: SearchQuery): SearchAnswer;
  suggest(prefix: string, limit: number): Suggestion[];
  close(): void;
}

/** The synchronous engine over one folder: follows CURRENT. Runs in a worker thread. */
export function openEngine(directory: string): Engine {
  const holder = createFileHolder(directory, { busyTimeoutMs: 1_000, isReader: true });
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
  return {
    search(query) {
      const file = holder.get();
      return searchDatabase(file.db, vocabularyOf(file), query);
    },
    suggest(prefix, limit) {
      const file = holder.get();
      return suggestFromDatabase(file.db, vocabularyOf(file), prefix, limit);
    },
    close: () => holder.close(),
  };
}
