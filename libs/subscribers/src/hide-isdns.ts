import { maskIsdn } from './isdn.ts';

const WORD = /[^\s,;()"'`]{8,}/g;
/** A number, also within a longer word; eight digits are a date in the name of a file. */
const NUMBER = /\d{9,}/;
const FILE_NAME = /^[\w.-]+\.(csv|tsv|txt|json|parquet|gz)$/i;
/** Words of a language, names of columns and settings, dates. */
const NAME = /^([A-Z]?[a-z_.-]*(\d{1,3}[a-z_.-]+)*\d{0,3}|[A-Z]+\d{0,3}(_[A-Z]+)+|\d{4}-\d\d-\d\d)[.:?!]*$/;

/**
 * A sentence about a file without the ISDNs that may stand in it: a file without a header is refused with its first row for the names of its columns.
 * Every word of eight characters and more is masked unless it is plainly a word, a column's name or a file's. A token that looks like a word stays.
 */
export const hideIsdns = (text: string): string =>
  text.replaceAll(WORD, (word) => (!NUMBER.test(word) && (FILE_NAME.test(word) || NAME.test(word)) ? word : maskIsdn(word)));
