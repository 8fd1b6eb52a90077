import { stemmer } from 'stemmer';
import { stopWords } from './stop-words.ts';

const englishWord = /^[a-z]{3,}$/;

/** The term that a token counts as: its English stem, itself where it has digits or other letters, undefined for a stop word. */
export function termOf(token: string): string | undefined {
  if (stopWords.has(token)) return undefined;
  return englishWord.test(token) ? stemmer(token) : token;
}
