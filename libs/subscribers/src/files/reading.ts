/** What a reader of files tells of the rows that it finds. */
export interface RowSink {
  /** Once, before the first row; returns the places of the columns that are needed. Throws LoadRefusedError where the file is not what was said. */
  onHeader(headers: readonly string[]): readonly number[];
  /** `line` counts from 1; of a Parquet file it is the number of the row. */
  onRow(cells: readonly unknown[], line: number): void;
  /** A row that cannot be read, although the next ones can. */
  onBadRow(line: number, reason: string): void;
  /** After some rows: how much of the file is done, in bytes. The reader goes on when it resolves. */
  onProgress(bytes: number): Promise<void>;
}

export interface SourceFile {
  readonly path: string;
  /** WHATWG label of a CSV file's encoding; default: by the byte order mark, else UTF-8. */
  readonly encoding?: string | undefined;
  /** Default: the one of , ; tab | that the header has most of. */
  readonly delimiter?: string | undefined;
}
