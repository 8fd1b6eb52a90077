/** The engine cannot answer now: no index yet, server down, or the query took too long. Trying later may help. */
export class SearchUnavailableError extends Error {
  override readonly name = 'SearchUnavailableError';
  /** The bus waits for such a sink and never counts the failure against an event. */
  readonly code = 'unavailable';
}
