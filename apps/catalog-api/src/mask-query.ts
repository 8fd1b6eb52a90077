/**
 * Eight digits or more, also where up to four spaces, dots, commas, dashes of any kind, slashes or brackets part them: telephone, card and account
 * numbers, EANs too. Signs before it are read from their first one only, or a row of them would take a square of its length.
 */
const LONG_NUMBER = /(?<![+(])[+(]*\p{Nd}(?:[\s()[\].,:;_·•|'’~/\\−\p{Pd}]{0,4}\p{Nd}){7,}/gu;
const MAX_CHARACTERS = 200;

/**
 * A query as it may be kept: what looks like an e-mail address or a long number is masked, so is whatever else holds an @. Control characters
 * and repeated spaces are one space; at most 200 characters. Names and addresses in words cannot be told from products and stay.
 */
export function maskQuery(text: string): string {
  const plain = text.normalize('NFKC').replaceAll(/[\p{C}\s]+/gu, ' ').trim();
  // "me @ x.org" is an address too.
  const joined = plain.replaceAll('%40', '@').replaceAll(/ ?@ ?(?=[^ @]*\.)/g, '@');
  const withoutMails = joined.split(' ').map((word) => (word.includes('@') ? '[email]' : word)).join(' ');
  return withoutMails.replaceAll(LONG_NUMBER, '[number]').slice(0, MAX_CHARACTERS).toWellFormed().trim();
}
