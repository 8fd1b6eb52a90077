import { listAudit } from '@millrace/contracts';
import type { AuditEntryBody } from '@millrace/contracts';
import type { Client } from '@millrace/client/contract';
import type { Command } from 'commander';
import { listPages } from './list-pages.ts';
import type { StreamsProgramDeps } from './streams-program.ts';
import { renderTable } from './table.ts';

interface AuditOptions {
  readonly since?: string;
  readonly until?: string;
  readonly key?: string;
  readonly operation?: string;
  readonly status?: string;
  readonly limit: number;
  readonly json?: boolean;
}

const find = (client: Client, { since, until, key, operation, status, limit }: AuditOptions) =>
  listPages(limit, async (page) => (await client.call(listAudit, { query: { since, until, key_id: key, operation, status, ...page } })).body);

const describeEntries = (entries: readonly AuditEntryBody[]): string =>
  renderTable(
    [
      { head: 'time', of: ({ at }) => at }, { head: 'who', of: (entry) => entry.key_id }, { head: 'operation', of: ({ operation }) => operation },
      { head: 'status', of: ({ status }) => status }, { head: 'path', of: ({ path }) => path, maxLength: 120 }, { head: 'request', of: (entry) => entry.request_id },
    ],
    entries,
  );

export function addAudit(program: Command, { connect, print, printError }: StreamsProgramDeps): void {
  program
    .command('audit')
    .description('who did what in this workspace, newest first')
    .option('--since <time>', 'at this time (ISO 8601, such as 2026-11-02T08:00:00Z) or later')
    .option('--until <time>', 'before this time')
    .option('--key <id>', 'by this key, or user:<sub>')
    .option('--operation <name>', 'an operationId, such as revokeKey')
    .option('--status <status>', 'of the answer, such as 403 or 4xx')
    .option('--limit <n>', 'at most so many', (value) => Number(value), 50)
    .option('--json', 'for programs')
    .action(async (options: AuditOptions) => {
      const { items, hasMore } = await find(await connect(), options);
      print(options.json === true ? JSON.stringify(items, undefined, 2) : describeEntries(items));
      if (hasMore) printError(`there are more than these ${items.length}: use --limit or a filter`);
    });
}
