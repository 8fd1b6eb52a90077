import { accessSync, constants, mkdirSync } from 'node:fs';
import type { DatabaseSync } from 'node:sqlite';
import { CollectionDroppedError, VectorsUnavailableError } from '../errors.ts';
import type { VectorAdmin } from '../ports.ts';
import { initialiseCollectionFile, openCollectionFile, readModel, writeTransaction } from './collection-file.ts';
import { integer } from './columns.ts';
import { listCollections, readCurrent, removeCollectionFiles, reserveCollection, writeCurrent } from './directory.ts';
import { checkDimensions } from './matrix.ts';
import { openEmbeddedReader } from './reader.ts';
import { readVersions } from './versions.ts';
import { openEmbeddedWriter } from './writer.ts';

const dayMs = 86_400_000;

/** Collections as files of one directory on a local disk, for processes of one host and one user. Creates the directory. */
export async function openEmbeddedVectorAdmin({ directory }: { directory: string }): Promise<VectorAdmin> {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const withFile = <T>(collection: string, work: (db: DatabaseSync) => T): T => {
    const db = openCollectionFile(directory, collection);
    try {
      return work(db);
    } finally {
      db.close();
    }
  };

  return {
    liveCollection: async () => readCurrent(directory),
    async createCollection(model) {
      checkDimensions(model.dimensions);
      const collection = reserveCollection(directory);
      withFile(collection, (db) => initialiseCollectionFile(db, model));
      return collection;
    },
    modelOf: async (collection) => withFile(collection, readModel),
    openWriter: async (collection) => openEmbeddedWriter(directory, collection),
    async swapTo(collection) {
      // Reading the model proves that the file is complete.
      withFile(collection, readModel);
      writeCurrent(directory, collection);
    },
    async dropCollection(collection) {
      if (collection !== readCurrent(directory) && listCollections(directory).includes(collection)) drop(directory, collection, withFile);
    },
    async dropOthers(keep) {
      const kept = new Set([...keep, readCurrent(directory)]);
      for (const collection of listCollections(directory)) if (!kept.has(collection)) drop(directory, collection, withFile);
    },
    count: async (collection) => withFile(collection, (db) => integer(db.prepare('SELECT count(*) AS n FROM records WHERE searchable = 1').get() ?? {}, 'n')),
    readVersions: (collection, ranges, signal) => readVersions({ directory, collection, ranges, signal }),
    async openReader(collection) {
      withFile(collection, readModel);
      return openEmbeddedReader({ directory, collection });
    },
    async purgeTombstones(olderThanDays) {
      const before = Date.now() - olderThanDays * dayMs;
      return listCollections(directory).reduce((purged, collection) => purged + withFile(collection, (db) => purge(db, before)), 0);
    },
    async ping() {
      try {
        accessSync(directory, constants.R_OK | constants.W_OK);
      } catch (error) {
        throw new VectorsUnavailableError(`the vector directory cannot be written`, { cause: error });
      }
    },
    close: async () => undefined,
  };
}

/** Marked before it is unlinked: writers of other processes that have the file open are refused instead of writing into the void. */
function drop(directory: string, collection: string, withFile: (collection: string, work: (db: DatabaseSync) => void) => void): void {
  try {
    withFile(collection, (db) => {
      if (isComplete(db)) writeTransaction(db, () => db.exec('UPDATE state SET dropped = 1'));
    });
  } catch (error) {
    // Dropped by another process meanwhile, or nothing that anybody could be writing to.
    if (!(error instanceof CollectionDroppedError) && !(error instanceof VectorsUnavailableError) && !isNotADatabase(error)) throw error;
  }
  removeCollectionFiles(directory, collection);
}

/** False for a file whose creation was interrupted. */
const isComplete = (db: DatabaseSync): boolean => db.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'state'").get() !== undefined;

/** SQLITE_NOTADB */
const isNotADatabase = (error: unknown): boolean => typeof error === 'object' && error !== null && 'errcode' in error && error.errcode === 26;

function purge(db: DatabaseSync, before: number): number {
  if (!isComplete(db)) return 0;
  return writeTransaction(db, () => {
    db.prepare('UPDATE state SET purged_through = max(purged_through, (SELECT coalesce(max(change), 0) FROM records WHERE deleted = 1 AND deleted_at <= ?))').run(before);
    return Number(db.prepare('DELETE FROM records WHERE deleted = 1 AND deleted_at <= ?').run(before).changes);
  });
}
