import { defaultPublishableTypes, interactionTypes, scopes } from '@millrace/contracts';
import type { Command } from 'commander';
import type { ListedKey } from './commands/keys.ts';
import type { Config } from './config.ts';
import { FailedError } from './failed-error.ts';
import { UsageError } from './usage-error.ts';

interface CreateOptions {
  readonly name: string;
  readonly scopes?: string;
  readonly publishable?: boolean;
  readonly origin: readonly string[];
  readonly eventTypes?: string;
}

/** Loaded with the command: it brings Postgres along. */
const commands = () => import('./commands/keys.ts');

const collect = (value: string, previous: readonly string[]): readonly string[] => [...previous, value];

async function create(databaseUrl: string | undefined, { name, scopes: wanted, publishable, origin, eventTypes }: CreateOptions): Promise<{ id: string; key: string }> {
  if (publishable === true) {
    if (wanted !== undefined) throw new UsageError('a publishable key sends events and nothing else: leave --scopes out');
    return (await commands()).createPageKey(databaseUrl, name, { origins: origin, eventTypes: eventTypes?.split(',') ?? defaultPublishableTypes });
  }
  if (origin.length > 0 || eventTypes !== undefined) throw new UsageError('--origin and --event-types are for publishable keys: add --publishable');
  if (wanted === undefined) throw new UsageError('say what the key may do: --scopes <list>, or --publishable --origin <origin> for a page');
  return (await commands()).createKey(databaseUrl, name, wanted.split(','));
}

const allowedOf = ({ scopes: allowed, origins, event_types: types }: ListedKey): string => (origins ? `publishable:${types?.join(',') ?? ''} from ${origins.join(',')}` : allowed.join(','));

/** `keys create`, `keys list`, `keys revoke`: as the owner of the database. */
export function addKeys(program: Command, { DATABASE_URL: databaseUrl }: Config, print: (line: string) => void): void {
  const keys = program.command('keys').description('API keys');
  keys
    .command('create')
    .description('make an API key (as the owner of the database, DATABASE_URL); it is shown once')
    .requiredOption('--name <name>', 'what it is for')
    .option('--scopes <list>', `separated by commas: ${scopes.join(', ')}`)
    .option('--publishable', 'a key for the pages of a shop: sends events, nothing else')
    .option('--origin <origin>', 'publishable: where the pages are, such as https://shop.example; repeatable', collect, [])
    .option('--event-types <list>', `publishable: of ${interactionTypes.join(', ')}; default: ${defaultPublishableTypes.join(',')}`)
    .action(async (options: CreateOptions) => {
      const { id, key } = await create(databaseUrl, options);
      print(`${id}\n${key}`);
    });
  keys.command('list').description('keys without their secrets: id, state, what they may do, name').action(async () => {
    for (const listed of await (await commands()).listKeys(databaseUrl)) print(`${listed.id}  ${listed.state}  ${allowedOf(listed)}  ${listed.name}`);
  });
  keys.command('revoke <id>').description('refuse a key from now on; gateways notice within 30 s').action(async (id: string) => {
    if (!(await (await commands()).revokeKey(databaseUrl, id))) throw new FailedError(`no key ${id} that is not revoked already`);
    print(`revoked ${id}`);
  });
}
