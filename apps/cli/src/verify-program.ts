import type { Command } from 'commander';
import { describeTrace, trace } from './commands/trace.ts';
import { describeDrift, drift, isClean, verify } from './commands/verify.ts';
import type { VerifyOptions } from './commands/verify.ts';
import { FailedError } from './failed-error.ts';
import type { StreamsProgramDeps } from './streams-program.ts';

/** The gateway itself gives up after 290 s. */
const LONG_MS = 300_000;

export function addTrace(program: Command, { connect, print }: StreamsProgramDeps): void {
  program
    .command('trace <sku>')
    .description('where a product is now: database, outbox, bus, search, vectors; exit code 1 where they differ')
    .option('--json', 'everything, for programs')
    .action(async (sku: string, options: { json?: boolean }) => {
      const found = await trace(await connect(), sku);
      if (options.json === true) print(JSON.stringify(found, undefined, 2));
      else for (const line of describeTrace(found)) print(line);
      if (found.in_sync !== true) throw new FailedError('');
    });
}

export function addVerify(program: Command, { connect, print }: StreamsProgramDeps): void {
  program
    .command('verify')
    .description('compare search index and vectors with the catalogue; exit code 1 where they differ')
    .option('--repair', 'write the differences, and only these, into the store')
    .option('--store <store>', 'search or vectors; default: both')
    .option('--last', 'only show what the last verification found')
    .option('--json', 'for programs')
    .action(async (options: VerifyOptions & { last?: boolean; json?: boolean }) => {
      const found = options.last === true ? await drift(await connect()) : await verify(await connect(LONG_MS), options);
      if (options.json === true) print(JSON.stringify(found, undefined, 2));
      else for (const line of describeDrift(found)) print(line);
      if (!isClean(found)) throw new FailedError('');
    });
}
