/**
 * The dimensions that stand for a term: `count` distinct ones, drawn by a generator that starts from the term's hash.
 * The first half is added, the second half subtracted, so unrelated terms have an expected similarity of 0
 * (feature hashing with signs, Weinberger et al. 2009, with several buckets a term to make collisions average out).
 */
export function bucketsOf(term: string, { dimensions, count }: { dimensions: number; count: number }): Int16Array {
  const buckets = new Int16Array(count);
  let state = hashOf(term);
  for (let filled = 0; filled < count; ) {
    state = (state + 0x9e3779b9) | 0;
    const bucket = (mix(state) >>> 0) % dimensions;
    if (buckets.subarray(0, filled).includes(bucket)) continue;
    buckets[filled++] = bucket;
  }
  return buckets;
}

/** FNV-1a over UTF-16 units, then mixed: 32 bits, signed. */
export function hashOf(term: string): number {
  let state = 0x811c9dc5;
  for (let at = 0; at < term.length; at++) state = Math.imul(state ^ term.charCodeAt(at), 0x01000193);
  return mix(state);
}

/** The finaliser of MurmurHash3. */
function mix(value: number): number {
  let mixed = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return mixed ^ (mixed >>> 16);
}
