import { createHash } from 'node:crypto';
import { setImmediate as nextTick, setTimeout as delay } from 'node:timers/promises';
import { SearchUnavailableError } from '../errors.ts';
import type { ChangeResult, SearchChange, SearchDocument, SearchWriter } from '../ports.ts';
import { accented, codeOf, codesOf, fold, isAscii, wordsOf } from '../text.ts';
import { CODE_KIND, createFileHolder, exactToken } from './schema.ts';
import { isBusy, isFileTrouble } from './sqlite.ts';
import type { Database } from './sqlite.ts';

const BATCH = 2_500;
const BUSY_TIMEOUT_MS = 50;
const GIVE_UP_AFTER_MS = 10_000;
const TEXT_FIELDS = ['name', 'sku', 'mpn', 'brand', 'category', 'description'] as const;
/** Nobody mistypes their way to a code: its words are no corrections of others. */
const CODE_FIELDS: ReadonlySet<string> = new Set(['sku', 'mpn']);

/** A change with everything that can be worked out, and can fail, outside of the transaction. */
interface Prepared {
  readonly change: SearchChange;
  readonly failure?: string;
  readonly body: string;
  readonly textHash: string;
  readonly createdMs: number;
}

/** Writes are synchronous, in transactions of 2,500 between which other work of this process runs; other writers are waited for without blocking. */
export function openEmbeddedWriter(directory: string, index: string): SearchWriter {
  const file = createFileHolder(directory, { busyTimeoutMs: BUSY_TIMEOUT_MS, isReader: false, index });
  let caches = createCaches();
  let known = file.get();

  const applyBatch = (batch: readonly Prepared[]): ChangeResult[] => {
    const open = file.get();
    if (open !== known) caches = createCaches();
    known = open;
    open.db.exec('begin immediate');
    try {
      const results = batch.map((prepared) => applyOne(open.db, caches, prepared));
      open.db.exec('commit');
      return results;
    } catch (error) {
      caches = createCaches(); // they may hold ids that were rolled back
      if (open.db.isInTransaction()) open.db.exec('rollback');
      throw error;
    }
  };

  return {
    async apply(changes) {
      const results: ChangeResult[] = [];
      for (let start = 0; start < changes.length; start += BATCH) {
        if (start > 0) await nextTick();
        const batch = changes.slice(start, start + BATCH).map(prepare);
        results.push(...(await whenFree(() => applyBatch(batch))));
      }
      return results;
    },
    close: async () => file.close(),
  };
}

async function whenFree<T>(attempt: () => T): Promise<T> {
  const deadline = performance.now() + GIVE_UP_AFTER_MS;
  for (;;) {
    try {
      return attempt();
    } catch (error) {
      if (!isBusy(error)) throw isFileTrouble(error) ? new SearchUnavailableError('the search index cannot be written now', { cause: error }) : error;
      if (performance.now() > deadline) throw new SearchUnavailableError('the search index is locked by another writer', { cause: error });
      await delay(2 + Math.random() * 8);
    }
  }
}

interface Caches { readonly category: Map<string, number>; readonly brand: Map<string, number>; readonly words: Set<string> }
const createCaches = (): Caches => ({ category: new Map(), brand: new Map(), words: new Set() });

function prepare(change: SearchChange): Prepared {
  const { product } = change;
  if (product === undefined) return { change, body: '', textHash: '', createdMs: 0 };
  try {
    const hash = createHash('sha1');
    for (const field of TEXT_FIELDS) hash.update(product[field] ?? '').update('\0');
    const createdMs = Date.parse(product.created_at);
    return { change, body: JSON.stringify(product), textHash: hash.update(product.ean.join(' ')).digest('base64'), createdMs: Number.isNaN(createdMs) ? 0 : createdMs };
  } catch (error) {
    return { change, body: '', textHash: '', createdMs: 0, failure: error instanceof Error ? error.message : String(error) };
  }
}

const FIND = 'select doc.id, doc.version, doc.text_hash, category.name from doc left join category on category.id = doc.category where doc.sku = ?';

function applyOne(db: Database, caches: Caches, prepared: Prepared): ChangeResult {
  const { sku, version, product } = prepared.change;
  const found = db.row(FIND, sku);
  const before = typeof found?.[3] === 'string' ? [found[3]] : [];
  if (prepared.failure !== undefined) return { sku, version, outcome: 'failed', reason: prepared.failure, categories: before };
  if (found !== undefined && Number(found[1]) >= version) {
    return { sku, version, outcome: Number(found[1]) === version ? 'applied' : 'stale', categories: before };
  }
  const id = found === undefined ? undefined : Number(found[0]);
  if (product === undefined) writeTombstone(db, prepared.change, id);
  else writeProduct(db, caches, { ...prepared, product, id, isTextSame: found?.[2] === prepared.textHash });
  const now = product?.category ?? undefined;
  return { sku, version, outcome: 'applied', categories: now === undefined || before.includes(now) ? before : [...before, now] };
}

function writeTombstone(db: Database, { sku, version }: SearchChange, id: number | undefined): void {
  if (id === undefined) {
    db.run('insert into doc (sku, version, deleted_at) values (?, ?, ?)', sku, version, Date.now());
    return;
  }
  removeText(db, id);
  db.run('delete from code where id = ?', id);
  db.run('delete from body where id = ?', id);
  db.run(
    `update doc set version = ?, deleted_at = ?, text_hash = null, merchant = null, category = null, brand = null,
     currency = null, price = null, in_stock = null, created = null where id = ?`,
    version, Date.now(), id,
  );
}

interface Write extends Prepared { readonly product: SearchDocument; readonly id: number | undefined; readonly isTextSame: boolean }

function writeProduct(db: Database, caches: Caches, { change, product, id, textHash, body, createdMs, isTextSame }: Write): void {
  const values = [
    change.version, textHash, product.merchant_id, idOf(db, 'category', product.category, caches.category), idOf(db, 'brand', product.brand, caches.brand),
    product.currency, product.price_minor, product.stock === 0 ? 0 : 1, createdMs,
  ];
  const docId = id ?? db.run('insert into doc (sku, version) values (?, 0)', change.sku).lastId;
  db.run(
    `update doc set version = ?, deleted_at = null, text_hash = ?, merchant = ?, category = ?, brand = ?, currency = ?, price = ?,
     in_stock = ?, created = ? where id = ?`,
    ...values, docId,
  );
  db.run('insert into body (id, product) values (?, ?) on conflict (id) do update set product = excluded.product', docId, body);
  if (isTextSame) return;
  if (id !== undefined) removeText(db, id);
  writeText(db, caches, docId, product);
}

function removeText(db: Database, id: number): void {
  db.run('delete from text where rowid = ?', id);
  db.run('delete from title where rowid = ?', id);
}

function writeText(db: Database, caches: Caches, id: number, product: SearchDocument): void {
  const written = TEXT_FIELDS.map((field) => (product[field] ?? '').normalize('NFC'));
  const folded = written.map(fold);
  const exact: string[] = [];
  for (const text of written) {
    if (isAscii(text)) continue;
    for (const { text: word } of wordsOf(text)) {
      const form = accented(word);
      if (form !== undefined) exact.push(exactToken(form));
    }
  }
  db.run('insert into text (rowid, name, sku, mpn, brand, category, description, exact) values (?, ?, ?, ?, ?, ?, ?, ?)', id, ...folded, exact.join(' '));
  db.run('insert into title (rowid, name) values (?, ?)', id, folded[0] ?? '');
  for (const [at, text] of folded.entries()) {
    if (CODE_FIELDS.has(TEXT_FIELDS[at] ?? '')) continue;
    for (const { text: word } of wordsOf(text)) {
      if (caches.words.has(word)) continue;
      db.run('insert or ignore into word (word) values (?)', word);
      caches.words.add(word);
    }
  }
  writeCodes(db, id, product);
}

/** Left alone where they are the same, as they nearly always are. */
function writeCodes(db: Database, id: number, product: SearchDocument): void {
  const kinds = new Map<string, number>();
  for (const text of [product.mpn ?? '', ...product.ean, product.sku]) for (const code of codesOf(text)) kinds.set(code, CODE_KIND.other);
  kinds.set(codeOf(product.sku), CODE_KIND.sku);
  const before = db.rows('select code, kind from code where id = ?', id);
  if (before.length === kinds.size && before.every(([code, kind]) => kinds.get(String(code)) === kind)) return;
  if (before.length > 0) db.run('delete from code where id = ?', id);
  for (const [code, kind] of kinds) db.run('insert into code (code, id, kind) values (?, ?, ?)', code, id, kind);
}

function idOf(db: Database, table: 'category' | 'brand', name: string | null, cache: Map<string, number>): number | null {
  if (name === null) return null;
  const known = cache.get(name);
  if (known !== undefined) return known;
  db.run(`insert or ignore into ${table} (name) values (?)`, name);
  const id = Number(db.row(`select id from ${table} where name = ?`, name)?.[0]);
  cache.set(name, id);
  return id;
}
