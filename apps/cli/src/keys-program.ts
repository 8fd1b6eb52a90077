import { defaultPublishableTypes, interactionTypes, roleNames, scopes } from '@millrace/contracts';
import type { ApiKeyBody } from '@millrace/contracts';
import type { Command } from 'commander';
import type { Config } from './config.ts';
import { FailedError } from './failed-error.ts';
import { ownerDatabase } from './owner-database.ts';
import { UsageError } from './usage-error.ts';

interface CreateOptions {
  readonly name: string;
  readonly scopes?: string;
  readonly role?: string;
  readonly workspace?: string;
  readonly expires?: string;
  readonly publishable?: boolean;
  readonly origin: readonly string[];
  readonly eventTypes?: string;
}

/** Loaded with the command: it brings Postgres along. */
const commands = () => import('./commands/keys.ts');

const listOf = (text: string): readonly string[] => [...new Set(text.split(',').map((part) => part.trim()))];
const collect = (value: string, previous: readonly string[]): readonly string[] => [...previous, value];

async function create(databaseUrl: string | undefined, { name, scopes: wanted, role, publishable, origin, eventTypes, ...options }: CreateOptions): Promise<{ id: string; key: string }> {
  if (wanted !== undefined && role !== undefined) throw new UsageError('--scopes and --role exclude each other');
  if (publishable === true) {
    if (wanted !== undefined || role !== undefined) throw new UsageError('a publishable key sends events and nothing else: leave --scopes and --role out');
    return (await commands()).createPageKey(databaseUrl, name, { origins: origin, eventTypes: eventTypes?.split(',') ?? defaultPublishableTypes, ...options });
  }
  if (origin.length > 0 || eventTypes !== undefined) throw new UsageError('--origin and --event-types are for publishable keys: add --publishable');
  if (role !== undefined) return (await commands()).createKey(databaseUrl, name, (await commands()).scopesOf(listOf(role)), options);
  if (wanted === undefined) throw new UsageError('say what the key may do: --scopes <list>, --role <list>, or --publishable --origin <origin> for a page');
  return (await commands()).createKey(databaseUrl, name, listOf(wanted), options);
}

const allowedOf = ({ scopes: allowed, origins, event_types: types }: ApiKeyBody): string => (origins ? `publishable:${types?.join(',') ?? ''} from ${origins.join(',')}` : allowed.join(','));

/** An empty text, such as a variable that is not set, is no number: 0 would end the secrets that are in use. */
const hoursOf = (text: string): number => (text.trim() === '' ? Number.NaN : Number(text));

function addRotate(keys: Command, config: Config, print: (line: string) => void): void {
  keys
    .command('rotate <id>')
    .description('give a key a new secret, shown once; the old one works a while longer')
    .option('--overlap <hours>', 'how long older secrets still work; 0 ends them now', hoursOf, 24)
    .action(async (id: string, { overlap }: { overlap: number }) => {
      const key = await (await commands()).rotateKey(await ownerDatabase(config), id, overlap);
      if (key === undefined) throw new FailedError(`no key ${id} that can be rotated: it is unknown, revoked, expired, or made for development`);
      print(`${id}\n${key}`);
    });
}

/** `keys create`, `keys list`, `keys show`, `keys rotate`, `keys revoke`: as the owner of the database. */
export function addKeys(program: Command, config: Config, print: (line: string) => void): void {
  const keys = program.command('keys').description('API keys');
  keys
    .command('create')
    .description('make an API key (as the owner of the database: DATABASE_URL, else the local stack); it is shown once')
    .requiredOption('--name <name>', 'what it is for')
    .option('--scopes <list>', `separated by commas: ${scopes.join(', ')}`)
    .option('--role <list>', `instead of scopes: those of ${roleNames.join(', ')}`)
    .option('--workspace <id>', 'default: default')
    .option('--expires <time>', 'ISO 8601 time, or a number of days such as 90d; default: never')
    .option('--publishable', 'a key for the pages of a shop: sends events, nothing else')
    .option('--origin <origin>', 'publishable: where the pages are, such as https://shop.example; repeatable', collect, [])
    .option('--event-types <list>', `publishable: of ${interactionTypes.join(', ')}; default: ${defaultPublishableTypes.join(',')}`)
    .action(async (options: CreateOptions) => {
      const { id, key } = await create(await ownerDatabase(config), options);
      print(`${id}\n${key}`);
    });
  keys.command('list').description('keys without their secrets: id, state, what they may do, name').option('--json', 'for programs').action(async ({ json }: { json?: boolean }) => {
    const all = await (await commands()).listKeys(await ownerDatabase(config));
    if (json === true) print(JSON.stringify(all, undefined, 2));
    else for (const listed of all) print(`${listed.id}  ${listed.state}  ${allowedOf(listed)}  ${listed.name}`);
  });
  keys.command('show <id>').description('one key without its secret: workspace, expiry, last use').action(async (id: string) => {
    const found = await (await commands()).showKey(await ownerDatabase(config), id);
    if (!found) throw new FailedError(`no key ${id}`);
    print(JSON.stringify(found, undefined, 2));
  });
  addRotate(keys, config, print);
  keys.command('revoke <id>').description('refuse a key from now on: gateways hear of it at once, within 30 s where Redis is away').action(async (id: string) => {
    if (!(await (await commands()).revokeKey(await ownerDatabase(config), id))) throw new FailedError(`no key ${id} that is not revoked already`);
    print(`revoked ${id}`);
  });
}
