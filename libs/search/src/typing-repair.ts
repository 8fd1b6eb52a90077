import { fold } from './text.ts';

/** What an index has of a typed word and of what its keys may have been meant for (`asTypedVietnamese`), what they make first. */
export interface TypedWord {
  /** Documents with the typed word or another form of it, and whether it is a word itself. */
  readonly typed: { readonly documents: number; readonly isWord: boolean };
  readonly writing: readonly { readonly accented: string; readonly documents: number }[];
  readonly hasFolded: (folded: string) => boolean;
}

/**
 * What the keys make where the index knows it so, else the commonest of those with more marks, else what they make without its marks. Undefined for a
 * word that the index knows. "mays" is "máy" and no plural where at least half of the documents with "may" write "máy".
 */
export function meantByKeys({ typed, writing, hasFolded }: TypedWord): { words: string[]; accented?: string } | undefined {
  const first = writing[0];
  if (typed.isWord || first === undefined) return undefined;
  const commonest = writing.toSorted((a, b) => b.documents - a.documents)[0] ?? first;
  const best = first.documents > 0 ? first : commonest;
  if (best.documents > 0 && best.documents * 2 >= typed.documents) return { words: [fold(best.accented)], accented: best.accented };
  const folded = fold(first.accented);
  return typed.documents === 0 && folded.length > 2 && hasFolded(folded) ? { words: [folded] } : undefined;
}
