/** Bytes of UTF-8 that are about one token: English has four characters a token, Chinese one (three bytes), so this is a little too many for most texts. */
const bytesPerToken = 3;

/** About how many tokens a text is, a little too many for most: what is really used is settled after the answer. */
export const estimateTokens = (text: string): number => Math.max(1, Math.ceil(Buffer.byteLength(text, 'utf8') / bytesPerToken));

/** The beginning of a text that a model takes: longer ones make it refuse the whole request. Cut between characters. */
export function cutToTokens(text: string, tokens: number): string {
  const bytes = Buffer.from(text, 'utf8');
  const most = tokens * bytesPerToken;
  if (bytes.length <= most) return text;
  return new TextDecoder('utf-8').decode(bytes.subarray(0, most), { stream: true });
}

/** Batches in order, none larger than the limits (but for a single text that is). */
export function toBatches(texts: readonly string[], { batchSize, batchTokens }: { readonly batchSize: number; readonly batchTokens: number }): string[][] {
  const batches: string[][] = [];
  let tokens = Infinity;
  for (const text of texts) {
    const own = estimateTokens(text);
    const last = batches.at(-1);
    if (last === undefined || last.length >= batchSize || tokens + own > batchTokens) {
      batches.push([text]);
      tokens = own;
    } else {
      last.push(text);
      tokens += own;
    }
  }
  return batches;
}
