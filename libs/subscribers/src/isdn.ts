/**
 * Old eleven-digit mobile prefixes and what they became in 2018 (decision 798/QD-BTTTT of the Vietnamese ministry of information
 * and communications): 0162 345 6789 is 032 345 6789 today.
 */
const NEW_PREFIX: Readonly<Record<string, string>> = {
  120: '70', 121: '79', 122: '77', 126: '76', 128: '78',
  123: '83', 124: '84', 125: '85', 127: '81', 129: '82',
  162: '32', 163: '33', 164: '34', 165: '35', 166: '36', 167: '37', 168: '38', 169: '39',
  186: '56', 188: '58', 199: '59',
};

const SEPARATORS = /[ .-]/g;
/** Country code or trunk zero, then nine digits of a mobile number of today, or ten of an old one. */
const VIETNAMESE = /^(?:(?:\+|00)?84|0)([35789]\d{8}|1[26-9]\d{8}|199\d{7})$/;
const CANONICAL = /^84[35789]\d{8}$/;
const TOKEN = /^[\x21-\x7e]{8,128}$/;
/** Letters of any script; neither spaces, nor control characters, nor halves of surrogate pairs. */
const WIDE_TOKEN = /^[^\s\p{C}]{8,128}$/u;

/** Digits of a Vietnamese mobile number with its country code (84912345678), or undefined where the text is none. */
function vietnamese(text: string): string | undefined {
  const digits = VIETNAMESE.exec(text.replaceAll(SEPARATORS, ''))?.[1];
  if (digits === undefined) return undefined;
  if (digits.length === 9) return `84${digits}`;
  const prefix = NEW_PREFIX[digits.slice(0, 3)];
  return prefix === undefined ? undefined : `84${prefix}${digits.slice(3)}`;
}

/**
 * A subscriber's name: 0912 345 678, 84912345678, +84912345678, and the old eleven-digit form of the same number are one, `84912345678`.
 * Everything else of 8 to 128 characters without spaces is an opaque token and stays as it is, byte for byte. Undefined: neither.
 */
export function parseIsdn(text: string): string | undefined {
  const first = text.charCodeAt(0);
  // Most are tokens, or are in the canonical form already.
  if (first === 0x30 || first === 0x38 || first === 0x2b || first === 0x20) {
    if (CANONICAL.test(text)) return text;
    const number = text.length > 24 ? undefined : vietnamese(text);
    if (number !== undefined) return number;
  }
  return TOKEN.test(text) || WIDE_TOKEN.test(text) ? text : undefined;
}

/** For people and logs: a number keeps its first five and last three digits, a token its first four characters. */
export const maskIsdn = (isdn: string): string => (CANONICAL.test(isdn) ? `${isdn.slice(0, 5)}***${isdn.slice(-3)}` : `${isdn.slice(0, 4)}***`);
