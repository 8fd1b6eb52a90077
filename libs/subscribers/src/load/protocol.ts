import type { DatasetName } from '../datasets.ts';
import type { ErasedList } from '../erasure/erased-filter.ts';
import type { SourceFile } from '../files/reading.ts';
import type { ColumnMapping } from '../mapping.ts';

/** What the thread that reads a file is told at its start. */
export interface ParseRequest {
  readonly dataset: DatasetName;
  readonly source: SourceFile;
  readonly mapping: ColumnMapping;
  /** Only the first rows of these keys are wanted again: see `duplicates`. */
  readonly duplicates?: readonly string[];
  /** Whose rows are left out; absent where nobody was erased. */
  readonly erased?: ErasedList | undefined;
}

/** A row that was refused. The value is not in it. */
export interface BadRow {
  readonly line: number;
  readonly column: string;
  readonly reason: string;
  readonly isdn: string | undefined;
}

export interface ParseSummary {
  readonly rows: number;
  readonly badRows: number;
  /** Good or bad rows of subscribers who were erased. */
  readonly erasedRows: number;
  readonly sha256: string;
  readonly ignoredColumns: readonly string[];
}

/** What it answers. After each `rows` it waits where too many are on their way; `taken` of the other side lets it go on. */
export type ParseReply =
  | { readonly kind: 'rows'; readonly copy: Uint8Array; readonly rows: number; readonly bytes: number }
  | { readonly kind: 'bad'; readonly rows: readonly BadRow[] }
  | { readonly kind: 'done'; readonly summary: ParseSummary }
  | { readonly kind: 'refused'; readonly message: string }
  | { readonly kind: 'failed'; readonly error: unknown };
