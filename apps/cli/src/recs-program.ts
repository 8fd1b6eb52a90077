import type { Command } from 'commander';
import { countsOf, describeMemory, describeRebuild, lastEnded, rebuildCounts, waitForRebuild } from './commands/recs.ts';
import type { StreamsProgramDeps } from './streams-program.ts';

/** The counts of the recommender. */
export function addRecs(program: Command, { connect, print }: StreamsProgramDeps): void {
  const recs = program.command('recs').description('the counts that recommendations are made from');
  recs.command('memory').description('bytes of Redis for a user and for a product').action(async () => {
    for (const line of describeMemory(await countsOf(await connect()))) print(line);
  });
  recs.command('status').description('rebuilds of the counts, the latest first').option('--json', 'for programs').action(async (options: { json?: boolean }) => {
    const counts = await countsOf(await connect());
    if (options.json === true) print(JSON.stringify(counts, undefined, 2));
    else for (const rebuild of counts.rebuilds) print(describeRebuild(rebuild));
  });
  recs
    .command('rebuild')
    .description('rebuild the counts from the log of interactions, beside the live ones')
    .option('--wait', 'wait until they are live, and show how far the old ones were off')
    .action(async (options: { wait?: boolean }) => {
      const client = await connect();
      const before = await lastEnded(client);
      print((await rebuildCounts(client)) ? 'rebuild started' : 'a rebuild is running already');
      if (options.wait === true) print(describeRebuild(await waitForRebuild(client, before)));
    });
}
