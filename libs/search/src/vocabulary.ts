/** Words known to an index, for corrections. Distances are optimal string alignment: insert, delete, replace, swap of neighbours. */
export interface Vocabulary {
  add(word: string): void;
  /** Words at the smallest distance above 0 and up to maxEdits. */
  nearest(word: string, maxEdits: 1 | 2): string[];
  /** Words that begin with something one edit away from `prefix`. */
  nearestByPrefix(prefix: string): string[];
}

const MAX_WORD_CHARS = 32;

/** One bit for each letter: two words that are n edits apart differ in at most 2n bits, which rules most words out at once. */
function letterMask(word: string): number {
  let mask = 0;
  for (let i = 0; i < word.length; i++) mask |= 1 << (word.charCodeAt(i) & 31);
  return mask;
}

function bitCount(bits: number): number {
  let rest = bits - ((bits >>> 1) & 0x55555555);
  rest = (rest & 0x33333333) + ((rest >>> 2) & 0x33333333);
  return (((rest + (rest >>> 4)) & 0x0f0f0f0f) * 0x01010101) >>> 24;
}

/** Optimal string alignment distance, or max + 1 where it is above max. */
export function editDistance(a: string, b: string, max: number): number {
  if (Math.abs(a.length - b.length) > max) return max + 1;
  let beforePrevious: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const current = [i];
    let best = i;
    for (let j = 1; j <= b.length; j++) {
      const same = a.charCodeAt(i - 1) === b.charCodeAt(j - 1);
      let cost = Math.min((previous[j] ?? 0) + 1, (current[j - 1] ?? 0) + 1, (previous[j - 1] ?? 0) + (same ? 0 : 1));
      if (i > 1 && j > 1 && a.charCodeAt(i - 1) === b.charCodeAt(j - 2) && a.charCodeAt(i - 2) === b.charCodeAt(j - 1)) {
        cost = Math.min(cost, (beforePrevious[j - 2] ?? 0) + 1);
      }
      current.push(cost);
      if (cost < best) best = cost;
    }
    if (best > max) return max + 1;
    beforePrevious = previous;
    previous = current;
  }
  return Math.min(previous[b.length] ?? 0, max + 1);
}

/** Holds only words that may be corrected to: letters, 3 to 32 of them. */
export function createVocabulary(): Vocabulary {
  const byLength: { word: string; mask: number }[][] = Array.from({ length: MAX_WORD_CHARS + 1 }, () => []);
  return {
    add(word) {
      if (word.length < 3 || word.length > MAX_WORD_CHARS || /\P{L}/u.test(word)) return;
      byLength[word.length]?.push({ word, mask: letterMask(word) });
    },
    nearest(word, maxEdits) {
      const mask = letterMask(word);
      const found: string[][] = [];
      for (let length = word.length - maxEdits; length <= word.length + maxEdits; length++) {
        for (const entry of byLength[length] ?? []) {
          if (bitCount(mask ^ entry.mask) > 2 * maxEdits) continue;
          const distance = editDistance(word, entry.word, maxEdits);
          if (distance > 0 && distance <= maxEdits) (found[distance] ??= []).push(entry.word);
        }
      }
      return found[1] ?? found[2] ?? [];
    },
    nearestByPrefix(prefix) {
      const found: string[] = [];
      const mask = letterMask(prefix);
      for (const entry of byLength.slice(Math.max(prefix.length - 1, 0)).flat()) {
        if (bitCount(mask & ~entry.mask) > 1) continue;
        for (const length of [prefix.length, prefix.length + 1, prefix.length - 1]) {
          if (editDistance(prefix, entry.word.slice(0, length), 1) > 1) continue;
          found.push(entry.word);
          break;
        }
      }
      return found;
    },
  };
}
