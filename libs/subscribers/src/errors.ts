/** A load that must not go on: what was given is wrong, or too much of it. The message is a sentence for whoever started it; nothing was changed. */
export class LoadRefusedError extends Error {
  override readonly name = 'LoadRefusedError';
}

/** Another load has the lock, or Redis has no room for one more generation: nothing was changed, the same may work later. */
export class LoadNotPossibleError extends Error {
  override readonly name: string = 'LoadNotPossibleError';
}

/** There is no UT360_ERASURE_SECRET, or another one than subscribers were erased under: going on could bring them back. Nothing was changed. */
export class ErasureSecretError extends LoadNotPossibleError {
  override readonly name: string = 'ErasureSecretError';
}
