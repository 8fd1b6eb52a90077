/** The direction between unit vectors: their mean, scaled to length 1. Undefined without vectors, or where they cancel each other out. */
export function meanVector(vectors: readonly Float32Array[]): Float32Array | undefined {
  const [first, ...others] = vectors;
  if (!first || others.length === 0) return first;
  const sum = Float64Array.from(first);
  for (const vector of others) for (let at = 0; at < sum.length; at++) sum[at] = (sum[at] ?? 0) + (vector[at] ?? 0);
  const length = Math.sqrt(sum.reduce((squares, value) => squares + value * value, 0));
  // What is left of vectors that cancel each other out is rounding.
  return length < 1e-6 ? undefined : Float32Array.from(sum, (value) => value / length);
}
