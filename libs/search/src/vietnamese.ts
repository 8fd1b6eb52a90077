/**
 * Vietnamese as it is typed on a keyboard without its letters: Telex ("ddieenj" is "điện") and VNI ("d9ie6n5"), marks anywhere behind their vowel, as the
 * usual input programs take them. Conventions: https://en.wikipedia.org/wiki/Telex_(input_method), https://en.wikipedia.org/wiki/VNI.
 */

const ONSETS = new Set(' b c ch d đ g gh gi h k kh l m n ng ngh nh p ph qu r s t th tr v x'.split(' '));
const NUCLEI = new Set(
  ('a ă â e ê i o ô ơ u ư y ai ao au ay âu ây eo êu ia iê iu oa oă oe oi ôi ơi oo ua uâ uê ui uô uơ uy ưa ưi ươ ưu yê ' +
    'oai oao oay oeo uây uôi uya uyê uyu ươi ươu iêu yêu').split(' '),
);
const CODAS = new Set(' c ch m n ng nh p t'.split(' '));
/** Vowels that no consonant follows; where one follows "ia" is written "iê". */
const OPEN_ONLY = new Set('ai ao au ay âu ây eo êu ia iu oi ôi ơi ua ui ưa ưi ưu oai oao oay oeo uây uôi uya uyu ươi ươu iêu yêu'.split(' '));

/** Those that only stand before a consonant. */
const CLOSED_ONLY = new Set('ă â iê oă oo uâ uô ươ yê uyê'.split(' '));
const MAX_CANDIDATES = 12;

const ACUTE = '\u0301', GRAVE = '\u0300', HOOK = '\u0309', TILDE = '\u0303', DOT = '\u0323';
const TELEX_TONES: Readonly<Record<string, string>> = { s: ACUTE, f: GRAVE, r: HOOK, x: TILDE, j: DOT };
const VNI_TONES: Readonly<Record<string, string>> = { 1: ACUTE, 2: GRAVE, 3: HOOK, 4: TILDE, 5: DOT };
const CIRCUMFLEX: Readonly<Record<string, string>> = { a: 'â', e: 'ê', o: 'ô' };
const HORN: Readonly<Record<string, string>> = { o: 'ơ', u: 'ư' };
const BREVE: Readonly<Record<string, string>> = { a: 'ă' };
const VOWEL = /[aăâeêioôơuưy]/;

/** A syllable while it is typed: letters without tones, and the tone. */
interface Typing { letters: string[]; tone: string | undefined }

const isOnset = (letters: readonly string[]): boolean => !letters.some((letter) => VOWEL.test(letter));
const hasCoda = (letters: readonly string[]): boolean => !isOnset(letters) && !VOWEL.test(letters.at(-1) ?? '');

/** Changes the last letter that the mark goes on; false where there is none. */
function mark(letters: string[], marks: Readonly<Record<string, string>>): boolean {
  for (let at = letters.length - 1; at >= 0; at--) {
    const marked = marks[letters[at] ?? ''];
    if (marked === undefined) continue;
    letters[at] = marked;
    return true;
  }
  return false;
}

function crossD(letters: string[]): boolean {
  if (letters[0] !== 'd') return false;
  letters[0] = 'đ';
  return true;
}

/** "uo" gets two horns, "ua" one on its u; after a q the u is no vowel. */
function hornOrBreve(letters: string[]): boolean {
  const isQu = letters[0] === 'q';
  const text = letters.join('');
  const pair = isQu ? -1 : text.search(/[uư][oơ]/);
  if (pair >= 0) {
    [letters[pair], letters[pair + 1]] = ['ư', 'ơ'];
    return true;
  }
  const ua = isQu ? -1 : text.search(/(?<!q)ua$/);
  if (ua >= 0) letters[ua] = 'ư';
  return ua >= 0 || mark(letters, { ...BREVE, ...HORN });
}

/** False where the key does nothing that Telex knows of: this is no Telex. */
function pressTelex(typing: Typing, key: string): boolean {
  const { letters } = typing;
  const previous = letters.at(-1);
  const tone = TELEX_TONES[key];
  if (tone !== undefined && !isOnset(letters)) {
    if (typing.tone !== undefined) return false; // twice takes it back
    typing.tone = tone;
    return true;
  }
  if (key === 'd' && letters.length > 0) return crossD(letters);
  if (key === 'w') {
    if (isOnset(letters) || previous === 'i') letters.push('ư');
    else return hornOrBreve(letters);
    return true;
  }
  const circumflexed = CIRCUMFLEX[key];
  if (circumflexed !== undefined && (previous === key || hasCoda(letters))) return mark(letters, { [key]: circumflexed });
  letters.push(key);
  return /[a-z]/.test(key) && !/[fjz]/.test(key);
}

function pressVni(typing: Typing, key: string): boolean {
  const { letters } = typing;
  const tone = VNI_TONES[key];
  if (tone !== undefined) {
    if (typing.tone !== undefined || isOnset(letters)) return false;
    typing.tone = tone;
    return true;
  }
  if (key === '6') return mark(letters, CIRCUMFLEX);
  if (key === '7') return !letters.join('').includes('uo') || letters[0] === 'q' ? mark(letters, HORN) : hornOrBreve(letters);
  if (key === '8') return mark(letters, BREVE);
  if (key === '9') return crossD(letters);
  letters.push(key);
  return /[a-z]/.test(key);
}

/** The syllable's place of the tone, or undefined where this is no Vietnamese syllable. Old style: "hòa", as `oldStyleTones` writes it. */
function placeOfTone(letters: readonly string[], tone: string | undefined): number | undefined {
  const match = /^(qu(?=[aăâeêioôơuưy])|gi(?=[aăâeêioôơuưy])|[^aăâeêioôơuưy]*)([aăâeêioôơuưy]+)([^aăâeêioôơuưy]*)$/.exec(letters.join(''));
  if (match === null) return undefined;
  const [, onset = '', nucleus = '', coda = ''] = match;
  if (!ONSETS.has(onset) || !NUCLEI.has(nucleus) || !CODAS.has(coda) || (coda === '' ? CLOSED_ONLY : OPEN_ONLY).has(nucleus)) return undefined;
  if (/^(?:c|ch|p|t)$/.test(coda) && tone !== undefined && tone !== ACUTE && tone !== DOT) return undefined;
  const marked = Math.max(...'ăâêôơư'.split('').map((vowel) => nucleus.lastIndexOf(vowel)));
  if (marked >= 0) return onset.length + marked;
  if (coda !== '') return onset.length + nucleus.length - 1;
  return onset.length + (nucleus.length === 3 ? 1 : 0);
}

const MORE_MARKS: Readonly<Record<string, string>> = { a: 'aăâ', d: 'dđ', e: 'eê', o: 'oôơ', u: 'uư' };

/** The letters themselves first, then with more marks. Only a first d is crossed. */
function withMoreMarks(letters: readonly string[]): string[][] {
  let spellings: string[][] = [[]];
  for (const [at, letter] of letters.entries()) {
    const options = letter === 'd' && at > 0 ? letter : (MORE_MARKS[letter] ?? letter);
    spellings = options.split('').flatMap((option) => spellings.map((spelling) => [...spelling, option]));
  }
  return spellings;
}

/**
 * Written words, in lower case, that a word of ASCII letters and digits may have been meant for: the one that its keys make first, then those with
 * marks left out ("dien5" for "điện"). Empty where its keys make no Vietnamese syllable with marks. "max" has a candidate ("mã"): only an index can
 * tell which of both is a word.
 */
export function asTypedVietnamese(word: string): string[] {
  const isVni = /^[a-z]+[0-9]/.test(word);
  if (word.length < 2 || word.length > 12 || !(isVni || /^[a-z]+$/.test(word))) return [];
  const { letters, tone }: Typing = pressed(word, isVni ? pressVni : pressTelex);
  if (letters.length > 7 || (tone === undefined && letters.join('') === word)) return [];
  const candidates: string[] = [];
  for (const spelling of withMoreMarks(letters)) {
    const place = placeOfTone(spelling, tone);
    if (place === undefined || candidates.length >= MAX_CANDIDATES) continue;
    candidates.push(spelling.map((letter, at) => (at === place ? letter + (tone ?? '') : letter)).join('').normalize('NFC'));
  }
  return candidates;
}

function pressed(word: string, press: (typing: Typing, key: string) => boolean): Typing {
  const typing: Typing = { letters: [], tone: undefined };
  for (const key of word) if (!press(typing, key)) return { letters: [], tone: undefined };
  return typing;
}

const NEW_STYLE = /(o[àáảãạ]|o[èéẻẽẹ]|(?<!q)u[ỳýỷỹỵ])$/;

/** Two ways to place a tone are in use ("hoà" and "hòa", "thuỷ" and "thủy"): both become the older one. Takes and gives lower case in composed form. */
export const oldStyleTones = (word: string): string =>
  word.replace(NEW_STYLE, (pair) => {
    const [first = '', base = '', tone = ''] = pair.normalize('NFD');
    return `${first}${tone}`.normalize('NFC') + base;
  });
