import { createHash } from 'node:crypto';
import { indexPath, inodeOf, readCurrent } from './files.ts';
import { isFileTrouble, openDatabase } from './sqlite.ts';
import type { Database, OpenOptions } from './sqlite.ts';
import { SearchUnavailableError } from '../errors.ts';
import { TEXT_FORMAT } from '../text.ts';

/** Raised when a program of before cannot use the tables below: files of another format are refused, a rebuild replaces them. */
export const FORMAT = 1;

/**
 * `doc` is narrow (filters, facets, sort keys, version) and `body` holds the product as it is returned: a stock change writes these two
 * alone. `text` and `title` are full-text indexes without content, `code` the exact skus, mpns and eans, `word` the growing vocabulary.
 * Segments are merged later than by default (automerge 4): writes are faster, searches no slower.
 */
export const SCHEMA = `
create table doc (
  id integer primary key, sku text not null unique, version integer not null, deleted_at integer, text_hash text,
  merchant integer, category integer, brand integer, currency text, price integer, in_stock integer, created integer
);
create index doc_category on doc (category) where category is not null;
create index doc_brand on doc (brand) where brand is not null;
create index doc_deleted on doc (deleted_at) where deleted_at is not null;
create table body (id integer primary key, product text not null);
create table code (code text not null, id integer not null, kind integer not null, primary key (code, id)) without rowid;
create index code_id on code (id);
create table category (id integer primary key, name text not null unique);
create table brand (id integer primary key, name text not null unique);
create table meta (definition_hash text not null);
create table word (id integer primary key, word text not null unique);
create virtual table text using fts5 (
  name, sku, mpn, brand, category, description, exact,
  content = '', contentless_delete = 1, tokenize = 'porter unicode61 remove_diacritics 2'
);
create virtual table title using fts5 (
  name, content = '', contentless_delete = 1, detail = none, tokenize = 'unicode61 remove_diacritics 2'
);
insert into text (text, rank) values ('automerge', 8);
insert into title (title, rank) values ('automerge', 8);
pragma user_version = ${FORMAT};
`;

/** Changes with the tables and with how texts become words. */
export const DEFINITION_HASH = createHash('sha256').update(JSON.stringify([SCHEMA, TEXT_FORMAT])).digest('hex').slice(0, 16);

/** Undefined for a file of before it was written down. */
export function readDefinitionHash(db: Database): string | undefined {
  if (db.row("select 1 from sqlite_master where name = 'meta'") === undefined) return undefined;
  const hash = db.row('select definition_hash from meta')?.[0];
  return typeof hash === 'string' ? hash : undefined;
}

/** bm25() weights in the order of the columns of `text`: measured by scripts/eval/search.ts. */
export const TEXT_WEIGHTS = '1.5, 1, 1, 0.7, 1, 1, 1';
export const EQUAL_WEIGHTS = '1, 1, 1, 1, 1, 1, 1';

/** Kinds of `code`, by which exact matches rank. */
export const CODE_KIND = { other: 1, sku: 2 } as const;

/** Column text of a word with its diacritics: made of ASCII letters and digits that folding and stemming leave alone. */
export const exactToken = (accented: string): string => `zq${Buffer.from(accented, 'utf8').toString('hex')}x`;

export interface OpenFile { readonly db: Database; readonly index: string; readonly inode: string }

/** Opens an existing index file, of whatever format. Throws SearchUnavailableError where it is missing. */
export function openAnyFormat(directory: string, index: string, options: OpenOptions): OpenFile {
  const path = indexPath(directory, index);
  const inode = inodeOf(path);
  if (inode === undefined) throw new SearchUnavailableError(`search index ${index} does not exist`);
  return { db: readable(index, () => openDatabase(path, options)), index, inode };
}

/** Opens an existing index file. Throws SearchUnavailableError where it is missing, unfinished or of another format. */
export function openIndexFile(directory: string, index: string, options: OpenOptions): OpenFile {
  const { db, inode } = openAnyFormat(directory, index, options);
  try {
    const format = readable(index, () => Number(db.row('pragma user_version')?.[0]));
    if (format !== FORMAT) throw new SearchUnavailableError(`search index ${index} has format ${format}, this program needs ${FORMAT}: rebuild it (millrace resync)`);
    return { db, index, inode };
  } catch (error) {
    db.close();
    throw error;
  }
}

/** A damaged or locked file is the engine's trouble: whoever follows the catalogue waits, and parks no event for it. */
export function readable<T>(index: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw isFileTrouble(error) ? new SearchUnavailableError(`search index ${index} cannot be opened`, { cause: error }) : error;
  }
}

/** Keeps a file open, and opens it again when CURRENT names another one (`index` undefined) or the file itself was replaced. */
export function createFileHolder(directory: string, options: OpenOptions & { readonly index?: string }): { get(): OpenFile; close(): void } {
  let open: OpenFile | undefined;
  const close = (): void => {
    open?.db.close();
    open = undefined;
  };
  return {
    get() {
      const index = options.index ?? readCurrent(directory);
      if (index === undefined) throw new SearchUnavailableError('there is no search index yet');
      if (open !== undefined && (open.index !== index || open.inode !== inodeOf(indexPath(directory, index)))) close();
      open ??= openIndexFile(directory, index, options);
      return open;
    },
    close,
  };
}
