import type { Command } from 'commander';
import { describeStats, purge, stats } from './commands/cache.ts';
import type { PurgeOptions } from './commands/cache.ts';
import { FailedError } from './failed-error.ts';
import type { StreamsProgramDeps } from './streams-program.ts';

export function addCache(program: Command, { connect, print }: StreamsProgramDeps): void {
  const cache = program.command('cache').description("the gateway's cached answers");
  cache
    .command('purge [tags...]')
    .description('throw answers away by tags (sku:MR-0001, category:Audio, store:search); exit code 1 where the cache could not be told yet')
    .option('--operation <operationId>', 'those of one operation, such as searchProducts')
    .option('--all', 'all of them')
    .action(async (tags: string[], options: PurgeOptions) => {
      const isDone = await purge(await connect(), tags, options);
      if (!isDone) throw new FailedError('the Redis of the cache does not answer: the gateway purges as soon as it does, and gives nothing from it until then');
      print('purged');
    });
  cache
    .command('stats')
    .description('what the cache did, of the instance that answers')
    .option('--json', 'for programs')
    .action(async (options: { json?: boolean }) => {
      const found = await stats(await connect());
      if (options.json === true) print(JSON.stringify(found, undefined, 2));
      else for (const line of describeStats(found)) print(line);
    });
}
