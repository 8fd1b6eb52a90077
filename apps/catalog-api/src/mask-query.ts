/** Eight digits or more, also where spaces, dots, hyphens, slashes or brackets part them: telephone, card and account numbers, EANs too. */
const LONG_NUMBER = /[+(]*\p{Nd}(?:[\s().\-/]{0,3}\p{Nd}){7,}/gu;
const MAX_CHARACTERS = 200;

/**
 * A query as it may be kept: what looks like an e-mail address or a long number is masked, so is whatever else holds an @. Control characters
 * and repeated spaces are one space; at most 200 characters. Names and addresses in words cannot be told from products and stay.
 */
export function maskQuery(text: string): string {
  const plain = text.normalize('NFKC').replaceAll(/[\p{C}\s]+/gu, ' ').trim();
  const withoutMails = plain.split(' ').map((word) => (word.includes('@') ? '[email]' : word)).join(' ');
  return withoutMails.replaceAll(LONG_NUMBER, '[number]').slice(0, MAX_CHARACTERS).toWellFormed().trim();
}
