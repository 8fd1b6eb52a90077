import { fold } from './fold.ts';

/** Characters of a token that count; what follows in the same run is dropped (hashes, base64). */
const maxTokenLength = 64;

/** For every UTF-16 unit: part of a token? Surrogates (emoji, rare ideographs) are not. 64 KB once beats a regular expression a character. */
const isTokenUnit = buildTokenUnits();

function buildTokenUnits(): Uint8Array {
  const letterOrDigit = /[\p{L}\p{N}\p{M}]/u;
  const units = new Uint8Array(0x1_00_00);
  for (let unit = 0; unit < units.length; unit++) {
    const isSurrogate = unit >= 0xd800 && unit <= 0xdfff;
    units[unit] = !isSurrogate && letterOrDigit.test(String.fromCharCode(unit)) ? 1 : 0;
  }
  return units;
}

/**
 * Calls `visit` with every run of letters and digits, folded, in the text's order.
 * Scripts written without spaces (Chinese, Japanese, Thai) are not segmented: such a run is one token.
 */
export function forEachToken(text: string, visit: (token: string) => void): void {
  const folded = fold(text);
  let start = -1;
  for (let at = 0; at < folded.length; at++) {
    const inToken = isTokenUnit[folded.charCodeAt(at)] === 1;
    if (inToken) {
      if (start < 0) start = at;
    } else if (start >= 0) {
      visit(folded.slice(start, Math.min(at, start + maxTokenLength)));
      start = -1;
    }
  }
  if (start >= 0) visit(folded.slice(start, start + maxTokenLength));
}
