/** The command failed at its work (not at its usage): exit code 1. */
export class FailedError extends Error {
  override readonly name = 'FailedError';
}
