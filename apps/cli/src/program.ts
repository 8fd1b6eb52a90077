import { scopes } from '@millrace/contracts';
import { Command, CommanderError, Option } from 'commander';
import { describeReport, importFile } from './commands/import.ts';
import type { ImportOptions } from './commands/import.ts';
import { writeInternalKeys } from './commands/internal-keys.ts';
import { createKey, listKeys, revokeKey } from './commands/keys.ts';
import { migrate } from './commands/migrate.ts';
import { writeSample } from './commands/sample.ts';
import { resync, syncClear, syncStats } from './commands/sync.ts';
import type { Config } from './config.ts';
import { connect } from './connection.ts';
import { FailedError } from './failed-error.ts';
import { loadMigrations } from './load-migrations.ts';
import { createProgress } from './progress.ts';
import { addRebuild } from './rebuild-program.ts';
import { addDeadLetters, addStreams } from './streams-program.ts';
import { addUt360 } from './ut360-program.ts';
import { addTrace, addVerify } from './verify-program.ts';

export interface ProgramDeps {
  readonly config: Config;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly print: (line: string) => void;
  readonly printError: (line: string) => void;
}

const collect = (value: string, previous: readonly string[]): readonly string[] => [...previous, value];

function addCatalogue(program: Command, { config, print, printError }: ProgramDeps): void {
  program
    .command('import <file>')
    .description('import products from NDJSON or CSV (gzip too) through the gateway')
    .option('--map <field=column[:factor]>', 'take a field from a column, repeatable: --map price=price_cents:0.01', collect, [])
    .addOption(new Option('--format <format>', 'default: by the file name').choices(['ndjson', 'csv']))
    .option('--currency <code>', 'currency of rows that have none')
    .option('--encoding <label>', 'character encoding; default: by the byte order mark, else utf-8')
    .option('--delimiter <character>', 'CSV delimiter')
    .option('--dry-run', 'report what would change, change nothing')
    .option('--atomic', 'all rows or none')
    .option('--max-errors <n>', 'bad rows to print', (value) => Number(value), 20)
    .action(async (file: string, options: ImportOptions) => {
      const report = await importFile(await connect(config), file, options, { progress: createProgress(process.stderr), print: printError });
      print(describeReport(report));
      if (report.failed > 0 || report.error !== null) throw new FailedError('');
    });
  program
    .command('sample')
    .description('write the sample catalogue as NDJSON to standard output')
    .option('--count <n>', 'products', (value) => Number(value), 2_000)
    .option('--merchants', 'keep their merchants 1 to 6, which must exist; default: all of merchant 1')
    .action((options: { count: number; merchants?: boolean }) => writeSample(options, process.stdout));
}

function addSync(program: Command, { config, print }: ProgramDeps): void {
  const sync = program.command('sync').description('the search sync');
  sync.command('stats').description('tracker, index and last sweep').action(async () => print(JSON.stringify(await syncStats(await connect(config)), undefined, 2)));
  sync.command('clear').description('clear the tracker: the next sweep checks everything again').action(async () => print(`cleared ${await syncClear(await connect(config))} entries`));
  program.command('resync').description('build a new search index beside the live one and swap').action(async () => {
    const stats = await resync(await connect(config), print);
    print(`live index: ${stats.index ?? 'none'}, ${stats.documents ?? 0} documents`);
  });
}

function addOperations(program: Command, { config, env, print }: ProgramDeps): void {
  program
    .command('migrate')
    .description('bring the database to the newest version (as its owner, DATABASE_URL) and make the roles of the services')
    .action(() => migrate({ databaseUrl: config.DATABASE_URL, rolesFile: config.MILLRACE_ROLES_FILE, given: env, loadMigrations, print }));
  program
    .command('internal-keys')
    .description('make the Ed25519 keys of the services and their JWKS')
    .requiredOption('--out <directory>', 'where to write them')
    .action(async (options: { out: string }) => print(`wrote keys of ${(await writeInternalKeys(options.out)).join(', ')} to ${options.out}`));
  const keys = program.command('keys').description('API keys');
  keys
    .command('create')
    .description('make an API key (as the owner of the database, DATABASE_URL); it is shown once')
    .requiredOption('--name <name>', 'what it is for')
    .requiredOption('--scopes <list>', `separated by commas: ${scopes.join(', ')}`)
    .action(async (options: { name: string; scopes: string }) => {
      const { id, key } = await createKey(config.DATABASE_URL, options.name, options.scopes.split(','));
      print(`${id}\n${key}`);
    });
  keys.command('list').description('keys without their secrets: id, name, scopes, state').action(async () => {
    for (const { id, name, scopes: allowed, state } of await listKeys(config.DATABASE_URL)) print(`${id}  ${state}  ${allowed.join(',')}  ${name}`);
  });
  keys.command('revoke <id>').description('refuse a key from now on; gateways notice within 30 s').action(async (id: string) => {
    if (!(await revokeKey(config.DATABASE_URL, id))) throw new FailedError(`no key ${id} that is not revoked already`);
    print(`revoked ${id}`);
  });
}

/** The command line. Throws UsageError and CommanderError for wrong usage, FailedError (and others) for failed work. */
export function createProgram(deps: ProgramDeps): Command {
  const program = new Command('millrace').description('Operates a Millrace installation').enablePositionalOptions().exitOverride().configureOutput({ writeErr: (text) => deps.printError(text.trimEnd()) });
  addCatalogue(program, deps);
  addSync(program, deps);
  const { config, print, printError } = deps;
  const shared = { connect: (timeoutMs?: number) => connect(config, timeoutMs), print, printError };
  addStreams(program, shared);
  addDeadLetters(program, shared);
  addVerify(program, shared);
  addTrace(program, shared);
  addRebuild(program, shared);
  addUt360(program, { config, print });
  addOperations(program, deps);
  for (const command of program.commands) command.exitOverride();
  return program;
}

export { CommanderError, FailedError };
