const beyondAscii = /[\u0080-\uffff]/;
/** Accents and tone marks as NFKD leaves them behind; vowel signs of other scripts (Thai, Devanagari) are letters and stay. */
const marks = /[\u0300-\u036f]/g;
/** Latin letters with a stroke or joined letters, which Unicode does not decompose. */
const undecomposed: Readonly<Record<string, string>> = { đ: 'd', ð: 'd', ø: 'o', ł: 'l', ħ: 'h', ı: 'i', ß: 'ss', æ: 'ae', œ: 'oe' };
const undecomposedLetters = /[đðøłħıßæœ]/g;

/** Lower case without accents: "Điện thoại", "dien thoai" and "DIEN THOAI" are the same text. */
export function fold(text: string): string {
  const lower = text.toLowerCase();
  if (!beyondAscii.test(lower)) return lower;
  return lower
    .normalize('NFKD')
    .replace(marks, '')
    .toLowerCase()
    .replace(undecomposedLetters, (letter) => undecomposed[letter] ?? letter);
}
