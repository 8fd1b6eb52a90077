import { createHash } from 'node:crypto';
import { expect, it } from '@jest/globals';
import { DatabaseSync } from 'node:sqlite';
import { stemOf } from '../src/highlight.ts';
import { PRICE_BORDERS, priceRangeOf } from '../src/price-ranges.ts';
import { exactToken } from '../src/embedded/schema.ts';
import { toIndexed } from '../src/elasticsearch/document.ts';
import { product, toChange } from '../src/testing/fixture.ts';
import { accented, analyseQuery, codesOf, compactCode, fold, TEXT_FORMAT, wordsOf } from '../src/text.ts';
import { createVocabulary, editDistance } from '../src/vocabulary.ts';

it.each([
  ['Điện thoại', 'dien thoai'], ['ĐƯỜNG', 'duong'], ['Crème Brûlée', 'creme brulee'], ['Straße', 'strasse'], ['Ấm'.normalize('NFD'), 'am'], ['a\0b', 'a b'], ['ﬁne', 'fine'], ['Łódź', 'lodz'],
])('folds %j to %j', (text, folded) => {
  expect(fold(text)).toBe(folded);
  expect(fold(folded)).toBe(folded);
});

it('keeps at most 24 terms of a query, none of them longer than 64 characters', () => {
  const { terms } = analyseQuery(`${'x'.repeat(65)} ${Array.from({ length: 500 }, (_, i) => `w${i}`).join(' ')}`);
  expect(terms).toHaveLength(24);
  expect(terms[0]?.folded).toBe('w0');
});

it.each(['\u0301', ' \u0301 \u0302', '\0'])('takes marks alone (%j) for no word', (q) => {
  expect(analyseQuery(q).terms).toEqual([]);
});

it('leaves stop words out where other words remain', () => {
  expect(analyseQuery('the case for the phone').terms.map((term) => term.folded)).toEqual(['case', 'phone']);
  expect(analyseQuery('the').terms.map((term) => term.folded)).toEqual(['the']);
});

it.each([['WH-1000XM4', 'wh1000xm4'], ['wh 1000 xm4', 'wh1000xm4'], ['headphones', undefined], ['a-1', undefined]])('takes %j for the code %j', (text, code) => {
  expect(compactCode(text)).toBe(code);
});

it.each([['kettle', 'kettle', 0], ['ketle', 'kettle', 1], ['ektte', 'kette', 1], ['abcd', 'badc', 2], ['abcd', 'wxyz', 3], ['', 'ab', 2]])('counts %j to %j as %d edits, up to one above the limit', (a, b, edits) => {
  expect(editDistance(a, b, 2)).toBe(edits);
  expect(editDistance(b, a, 2)).toBe(edits);
});

it('offers only the nearest words, none with digits', () => {
  const vocabulary = createVocabulary();
  for (const word of ['headphone', 'headphones', 'headphon1', 'headset', 'lamp']) vocabulary.add(word);
  expect(vocabulary.nearest('headphonez', 2).toSorted()).toEqual(['headphone', 'headphones']);
  expect(vocabulary.nearest('haedphonex', 2)).toEqual(expect.arrayContaining(['headphone']));
  expect(vocabulary.nearestByPrefix('haedp').toSorted()).toEqual(['headphone', 'headphones']);
});

it.each([[0, 0], [999, 0], [1_000, 1], [2_499, 1], [2_500, 2], [Number.MAX_SAFE_INTEGER, PRICE_BORDERS.length - 1]])('puts a price of %d into range %d', (price, range) => {
  expect(priceRangeOf(price)).toBe(range);
});

it('stems as the index does, so that highlights mark what was found', () => {
  const db = new DatabaseSync(':memory:');
  db.exec("create virtual table t using fts5 (x, tokenize = 'porter unicode61 remove_diacritics 2'); create virtual table v using fts5vocab (t, row)");
  const words = 'running shoes relational conditional happy ponies caresses agreed plastered hopping falling generalization cartridges batteries wireless monitors adjustable'.split(' ');
  for (const word of words) db.prepare('insert into t values (?)').run(word);
  const stems = db.prepare('select term from v').all().map((row) => row['term']);
  expect(new Set(words.map(stemOf))).toEqual(new Set(stems));
});

it('has another definition hash, through TEXT_FORMAT, as soon as texts become other words, codes or exact tokens', () => {
  const texts = ['Điện thoại hoà, thuỷ tinh', 'Ấm đun nước'.normalize('NFD'), 'Crème brûlée Straße Łódź ﬁne', 'WH-1000XM4 / 4006381333931', "O'Run 😀 日本語 a\0b"];
  const words = texts.map((text) => [...wordsOf(text)].map((word) => [fold(word.text), accented(word.text), exactToken(accented(word.text) ?? '')]));
  const documents = texts.map((text) => toIndexed(toChange(product({ sku: text, name: text, mpn: text, description: text, ean: [text] }))));
  const made = createHash('sha256').update(JSON.stringify([words, texts.map(codesOf), documents])).digest('hex').slice(0, 16);
  // Another hash: raise TEXT_FORMAT, so that indexes are rebuilt, and write down both.
  expect({ TEXT_FORMAT, made }).toEqual({ TEXT_FORMAT: 2, made: '9d685f713b1328c3' });
});
