import type { ErasureBody } from '@millrace/contracts';
import type { Command } from 'commander';
import { describeErasure, showErasure, startErasure, waitForErasure } from './commands/users.ts';
import type { StreamsProgramDeps } from './streams-program.ts';

export function addUsers(program: Command, { connect, print, printError }: StreamsProgramDeps): void {
  const show = (found: ErasureBody, isJson: boolean | undefined): void => {
    for (const line of isJson === true ? [JSON.stringify(found, undefined, 2)] : describeErasure(found)) print(line);
  };
  const users = program.command('users').description('shoppers');
  users
    .command('erase <id>')
    .description('erase a user and all ids merged with it in every store, for ever; the same job when asked again')
    .option('--wait', 'wait until every store has answered')
    .option('--json', 'for programs')
    .action(async (id: string, options: { wait?: boolean; json?: boolean }) => {
      const client = await connect();
      const started = await startErasure(client, id);
      show(options.wait === true ? await waitForErasure(client, started.job, printError) : started, options.json);
    });
  users
    .command('show-erasure <job>')
    .description('how far a job has come, with a receipt for each store')
    .option('--json', 'for programs')
    .action(async (job: string, options: { json?: boolean }) => show(await showErasure(await connect(), job), options.json));
}
