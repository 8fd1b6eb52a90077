/** Somebody stopped the command: exit code 130 (SIGINT) or 143 (SIGTERM), as of a shell. */
export class StoppedError extends Error {
  override readonly name = 'StoppedError';
  readonly exitCode: number;
  constructor(message: string, exitCode: number) {
    super(message);
    this.exitCode = exitCode;
  }
}

/** The command failed at its work (not at its usage): exit code 1. */
export class FailedError extends Error {
  override readonly name = 'FailedError';
}
