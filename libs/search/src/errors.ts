/** The engine cannot answer now: no index yet, server down, or the query took too long. Trying later may help. */
export class SearchUnavailableError extends Error {
  override readonly name = 'SearchUnavailableError';
}
