/** Orders two stream ids ("<ms>-<sequence>") as Redis does: negative when a is before b. */
export function compareStreamIds(a: string, b: string): number {
  const [aMs, aSeq] = splitStreamId(a);
  const [bMs, bSeq] = splitStreamId(b);
  return aMs === bMs ? aSeq - bSeq : aMs - bMs;
}

/** Milliseconds and sequence of a stream id; "0-0" for a stream that never had an entry. */
export function splitStreamId(id: string): readonly [ms: number, sequence: number] {
  const dash = id.indexOf('-');
  return dash < 0 ? [Number(id), 0] : [Number(id.slice(0, dash)), Number(id.slice(dash + 1))];
}
