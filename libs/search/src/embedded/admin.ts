import { accessSync, constants, mkdirSync } from 'node:fs';
import { SearchUnavailableError } from '../errors.ts';
import type { SearchAdmin } from '../ports.ts';
import { claimIndexName, indexPath, inodeOf, listIndexes, readCurrent, removeIndex, writeCurrent } from './files.ts';
import { openInlineReader } from './inline-reader.ts';
import { DEFINITION_HASH, openAnyFormat, openIndexFile, readable, readDefinitionHash, SCHEMA } from './schema.ts';
import { openDatabase } from './sqlite.ts';
import type { Database } from './sqlite.ts';
import { readVersionsOf, storedVersions } from './versions.ts';
import { openEmbeddedWriter } from './writer.ts';

const BUSY_TIMEOUT_MS = 5_000;
const DAY_MS = 86_400_000;

export interface EmbeddedSearchOptions {
  /** The folder of the index. All processes that use it must be on one host, and run as users that may write in it. */
  readonly directory: string;
}

/** Physical indexes are files `search-<n>.db` of one folder; the live one is named by its file CURRENT. */
export function openEmbeddedSearchAdmin({ directory }: EmbeddedSearchOptions): SearchAdmin {
  mkdirSync(directory, { recursive: true });
  const withIndex = <T>(index: string, use: (db: Database) => T): T => {
    const { db } = openIndexFile(directory, index, { busyTimeoutMs: BUSY_TIMEOUT_MS, isReader: false });
    try {
      return use(db);
    } finally {
      db.close();
    }
  };
  return {
    liveIndex: async () => readCurrent(directory),
    async createIndex() {
      const index = claimIndexName(directory);
      const db = openDatabase(indexPath(directory, index), { busyTimeoutMs: BUSY_TIMEOUT_MS, isReader: false });
      try {
        db.exec(`begin immediate; ${SCHEMA}`);
        db.run('insert into meta (definition_hash) values (?)', DEFINITION_HASH);
        db.exec('commit');
      } finally {
        db.close();
      }
      return index;
    },
    openWriter: async (index) => openEmbeddedWriter(directory, index),
    async swapTo(index) {
      if (inodeOf(indexPath(directory, index)) === undefined) throw new SearchUnavailableError(`search index ${index} does not exist`);
      writeCurrent(directory, index);
    },
    async dropIndex(index) {
      if (index !== readCurrent(directory)) removeIndex(directory, index);
    },
    async dropOthers(keep) {
      const live = readCurrent(directory);
      const dropped = listIndexes(directory).filter((index) => index !== live && !keep.includes(index));
      for (const index of dropped) removeIndex(directory, index);
      return dropped;
    },
    count: async (index) => withIndex(index, (db) => Number(db.row('select count(*) from doc where deleted_at is null')?.[0])),
    ...inspection(directory),
    async purgeTombstones(olderThanDays) {
      const before = Date.now() - olderThanDays * DAY_MS;
      let purged = 0;
      for (const index of listIndexes(directory)) {
        try {
          purged += withIndex(index, (db) => db.run('delete from doc where deleted_at < ?', before).changes);
        } catch (error) {
          if (!(error instanceof SearchUnavailableError)) throw error; // unfinished or older files have nothing to keep
        }
      }
      return purged;
    },
    async ping() {
      accessSync(directory, constants.R_OK | constants.W_OK);
    },
    close: async () => undefined,
  };
}

/** What the verification of an index asks for. */
function inspection(directory: string): Pick<SearchAdmin, 'readVersions' | 'versionsOf' | 'openReader' | 'definitionHash' | 'definitionHashOf'> {
  const options = { busyTimeoutMs: BUSY_TIMEOUT_MS, isReader: true, isBrief: true };
  return {
    async *readVersions(index, ranges, signal) {
      const { db } = openIndexFile(directory, index, options);
      try {
        yield* readVersionsOf(db, index, ranges, signal);
      } finally {
        db.close();
      }
    },
    async versionsOf(index, skus) {
      const { db } = openIndexFile(directory, index, options);
      try {
        return readable(index, () => storedVersions(db, skus));
      } finally {
        db.close();
      }
    },
    openReader: async (index) => openInlineReader(directory, index),
    definitionHash: DEFINITION_HASH,
    async definitionHashOf(index) {
      const { db } = openAnyFormat(directory, index, options);
      try {
        return readable(index, () => readDefinitionHash(db));
      } finally {
        db.close();
      }
    },
  };
}
