import type { Command } from 'commander';
import { cancelOf, describeDone, describeRebuilds, listOf, rollbackOf, startOf, waitFor } from './commands/rebuild.ts';
import type { ListOptions } from './commands/rebuild.ts';
import type { StreamsProgramDeps } from './streams-program.ts';

export function addRebuild(program: Command, { connect, print, printError }: StreamsProgramDeps): void {
  const follow = async (id: string, isAwaited: boolean | undefined): Promise<void> => {
    if (isAwaited !== true) return print(id);
    for (const line of describeDone(await waitFor(await connect(), id, printError))) print(line);
  };
  const rebuild = program
    .command('rebuild [store]')
    .description('build a store (search or vectors) anew beside the live one, validate it and swap')
    .enablePositionalOptions()
    .option('--force', 'swap although golden queries fail')
    .option('--wait', 'show its progress, and wait until it is live')
    .action(async (store: string | undefined, options: { force?: boolean; wait?: boolean }): Promise<void> => {
      if (store === undefined) return rebuild.error("error: missing required argument 'store': use search or vectors");
      await follow((await startOf(await connect(), store, options)).id, options.wait);
    });
  rebuild
    .command('list')
    .description('rebuilds of both stores, the latest first')
    .option('--store <store>', 'search or vectors; default: both')
    .option('--limit <n>', 'at most so many of each', (value) => Number(value), 10)
    .option('--json', 'for programs')
    .action(async (options: ListOptions & { json?: boolean }) => {
      const found = await listOf(await connect(), options);
      if (options.json === true) print(JSON.stringify(found.data, undefined, 2));
      else for (const line of describeRebuilds(found)) print(line);
    });
  rebuild
    .command('cancel <id>')
    .description('stop one before its swap; the live one goes on')
    .action(async (id: string) => print(`${(await cancelOf(await connect(), id)).id} ends within a batch`));
  rebuild
    .command('rollback <id>')
    .description('bring the one before its swap up to date and make it live again')
    .option('--wait', 'show its progress, and wait until it is live')
    .action(async (id: string, options: { wait?: boolean }) => follow((await rollbackOf(await connect(), id)).id, options.wait));
}
