import { ProblemError, TransportError } from '@millrace/client/contract';
import { ConfigError, loadConfig } from '@millrace/service/config';
import { configSchema } from './config.ts';
import { StoppedError } from './failed-error.ts';
import { CommanderError, FailedError, createProgram } from './program.ts';
import { UsageError } from './usage-error.ts';

export interface Terminal {
  readonly print: (line: string) => void;
  readonly printError: (line: string) => void;
}

/** Runs the command that follows the first two of `argv`. Answers the exit code: 0 done, 1 failed, 2 called wrongly, 130 stopped. Never rejects. */
export async function run(argv: readonly string[], env: NodeJS.ProcessEnv, { print, printError }: Terminal): Promise<number> {
  try {
    await createProgram({ config: loadConfig(configSchema, env), env, print, printError }).parseAsync([...argv]);
    return 0;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    if (error instanceof StoppedError) return printError(error.message), error.exitCode;
    if (error instanceof UsageError || error instanceof ConfigError) return printError(error.message), 2;
    if (error instanceof ProblemError) return printError(`${error.message} (${error.problem.code})`), error.problem.status === 400 || error.problem.status === 415 ? 2 : 1;
    if (error instanceof FailedError || error instanceof TransportError) return error.message === '' || printError(error.message), 1;
    printError(error instanceof Error ? (error.stack ?? error.message) : 'failed');
    return 1;
  }
}
