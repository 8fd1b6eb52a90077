import { expect, it } from '@jest/globals';
import { scoreTerms } from '../src/embedded/scores.ts';
import type { TermGroup } from '../src/embedded/scores.ts';
import { SCHEMA, TEXT_WEIGHTS } from '../src/embedded/schema.ts';
import { openDatabase } from '../src/embedded/sqlite.ts';
import type { Database } from '../src/embedded/sqlite.ts';

const WORDS = ['sofa', 'couch', 'settee', 'divan'];

/** An index of one product a word, and the expressions that were looked up in it. */
function open(): { db: Database; asked: string[] } {
  const db = openDatabase(':memory:', { busyTimeoutMs: 100, isReader: false });
  db.exec(SCHEMA);
  for (const [at, word] of WORDS.entries()) db.run('insert into text (rowid, name) values (?, ?)', at + 1, word);
  const asked: string[] = [];
  return { asked, db: { ...db, rows: (sql, ...parameters) => (asked.push(...parameters.map(String)), db.rows(sql, ...parameters)) } };
}

it('looks up each word once, however many words of the query are its synonyms', () => {
  const { db, asked } = open();
  const groups = WORDS.map((word): TermGroup => ({ literal: `"${word}"`, alternatives: WORDS.filter((other) => other !== word).map((other) => `"${other}"`), expression: '' }));
  const scores = scoreTerms(db, groups, TEXT_WEIGHTS);
  expect(asked.toSorted()).toEqual(WORDS.map((word) => `"${word}"`).toSorted());
  expect(new Set([...scores.values()].map((score) => score.toFixed(9))).size).toBe(1);
  db.close();
});
