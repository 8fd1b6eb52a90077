import { createMillrace } from '@millrace/client';
import type { Millrace } from '@millrace/client';
import { apiVersion } from '@millrace/contracts';
import { createConfirmations, createMcpServer, createMemoryUsage } from '@millrace/mcp-tools';
import type { ServerDeps, ToolCaller } from '@millrace/mcp-tools';
import { StdioServerTransport, serveStdio } from '@modelcontextprotocol/server/stdio';
import { once } from 'node:events';
import type { Readable, Writable } from 'node:stream';
import type { Target } from '../connection.ts';

export interface ServeMcpOptions {
  /** Standard error: what clients show to whoever looks for a fault. */
  readonly printError: (line: string) => void;
  readonly input?: Readable;
  readonly output?: Writable;
}

const ANSWER_MS = 15_000;

async function callerOf(api: Millrace): Promise<ToolCaller> {
  const { data: { id, workspace_id: workspaceId, scopes } } = await api.GET('/api/me');
  return { id, workspaceId, scopes };
}

/** Serves one client until it closes its end. Rejects where the gateway cannot be asked, or does not know the key: nothing was written then. */
export async function serveMcp({ baseUrl, apiKey }: Target, { printError, input = process.stdin, output = process.stdout }: ServeMcpOptions): Promise<void> {
  const api = createMillrace({ baseUrl, apiKey, timeoutMs: ANSWER_MS });
  const caller = await callerOf(api);
  const usage = createMemoryUsage();
  const deps: ServerDeps = {
    version: apiVersion, confirmations: createConfirmations(), usage, localUsage: usage,
    onCalled: () => undefined,
    onBug: (error, { tool }) => printError(`${tool} failed: ${error instanceof Error ? (error.stack ?? error.message) : 'unknown'}`),
    onUncounted: () => undefined,
  };
  // One user at one machine: they can be asked, where their program can.
  const handle = serveStdio(() => createMcpServer(deps, { api, caller }, { isInteractive: true }), { transport: new StdioServerTransport(input, output), onerror: (error) => printError(`refused: ${error.message}`) });
  if (!input.readableEnded && !input.destroyed) await once(input, 'close');
  await handle.close();
}
