/** A whole HTTP answer. Names of headers are lower case. */
export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

/** How long an answer may be given, and what it is thrown away by. */
export interface Keeping {
  readonly freshMs: number;
  /** After `freshMs`: given for so long while one caller's process asks the origin again. Default 0. */
  readonly staleWhileRevalidateMs?: number;
  /** After `freshMs`: given for so long where the origin fails. Default 0. */
  readonly staleIfErrorMs?: number;
  /** At least one. */
  readonly tags: readonly string[];
}
