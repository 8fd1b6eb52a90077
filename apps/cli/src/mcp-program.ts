import type { Command } from 'commander';
import type { Config } from './config.ts';
import { targetOf } from './connection.ts';

/** `millrace mcp`: the shop's tools over standard input and output, for an assistant on this machine. Standard output holds the protocol and nothing else. */
export function addMcp(program: Command, config: Config, printError: (line: string) => void): void {
  program
    .command('mcp')
    .description('the MCP server over standard input and output, for an assistant on this machine; the key is MILLRACE_API_KEY')
    .action(async () => (await import('./commands/mcp.ts')).serveMcp(await targetOf(config), { printError }));
}
