/** There is no live collection, or the store cannot be asked now. Callers degrade; the same call may succeed later. */
export class VectorsUnavailableError extends Error {
  override readonly name = 'VectorsUnavailableError';
  /** The bus waits for such a sink and never counts the failure against an event. */
  readonly code = 'unavailable';
}

/** The writer's collection was dropped: open the live one and write there. Nothing of the call was stored. */
export class CollectionDroppedError extends Error {
  override readonly name = 'CollectionDroppedError';
  /** The bus waits for such a sink and never counts the failure against an event. */
  readonly code = 'unavailable';
}

/** A vector that no collection may hold and no search may start from: another length than the model's, zero, not finite, not of length 1. A bug of the caller. */
export class InvalidVectorError extends Error {
  override readonly name = 'InvalidVectorError';
}

/** The server can never hold vectors as it is: its search module is missing, or it is one of a cluster. The message says what to do. */
export class UnsupportedVectorServerError extends Error {
  override readonly name = 'UnsupportedVectorServerError';
  /** The bus waits for such a sink and never counts the failure against an event. */
  readonly code = 'unavailable';
}
