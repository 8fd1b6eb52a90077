import { ProblemError, TransportError } from '@millrace/client';
import { ConfigError, loadConfig } from '@millrace/service';
import { configSchema } from './config.ts';
import { CommanderError, FailedError, createProgram } from './program.ts';
import { UsageError } from './usage-error.ts';

const printError = (line: string): void => void process.stderr.write(`${line}\n`);

/** 0 done, 1 failed, 2 called wrongly. */
async function main(): Promise<number> {
  try {
    const config = loadConfig(configSchema, process.env);
    await createProgram({ config, env: process.env, print: (line) => void process.stdout.write(`${line}\n`), printError }).parseAsync(process.argv);
    return 0;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    if (error instanceof UsageError || error instanceof ConfigError) return printError(error.message), 2;
    if (error instanceof ProblemError) return printError(`${error.message} (${error.problem.code})`), error.problem.status === 400 || error.problem.status === 415 ? 2 : 1;
    if (error instanceof FailedError || error instanceof TransportError) return error.message === '' || printError(error.message), 1;
    printError(error instanceof Error ? (error.stack ?? error.message) : 'failed');
    return 1;
  }
}

process.exitCode = await main();
