/** Numbers that are the same on every machine for the same seed; each subscriber has its own, so that one can be made without the others. */
export interface Random {
  /** At least 0, below 1. */
  next(): number;
  /** Standard normal (Box and Muller, 1958). */
  normal(): number;
}

/** Mulberry32 (public domain, by Tommy Ettinger) over a seed that was mixed from both numbers (the finaliser of MurmurHash3, by Austin Appleby, public domain). */
export function createRandom(seed: number, index: number): Random {
  let state = Math.imul(seed ^ Math.imul(index + 1, 0x9e3779b1), 0x85ebca6b) >>> 0;
  state = Math.imul(state ^ (state >>> 13), 0xc2b2ae35) >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
  return { next, normal: () => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next()) };
}
