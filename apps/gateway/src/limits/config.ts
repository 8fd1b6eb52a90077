import { z } from 'zod';
import { parseNetworks } from './client-address.ts';
import type { LimitSettings } from './limit-table.ts';

const perMinute = (units: number, what: string) => z.coerce.number().int().min(1).max(1_000_000_000).default(units).describe(what);

export const limitVariables = {
  RATE_LIMITS_ENABLED: z.stringbool().default(true).describe('false: no rate limits at all. Development keys are never limited'),
  RATE_LIMITS_STRICT: z.stringbool().default(false).describe('true: every call asks Redis; false: an instance takes up to 2 % of a limit at once while more than half of it is left'),
  RATE_LIMIT_READS_PER_MINUTE: perMinute(60_000, 'Units of reading calls a minute, for each key'),
  RATE_LIMIT_WRITES_PER_MINUTE: perMinute(12_000, 'Units of writing calls a minute, for each key'),
  RATE_LIMIT_EVENTS_PER_MINUTE: perMinute(600_000, 'Units of tracking calls a minute, for each key; all visitors of a shop share one'),
  RATE_LIMIT_JOBS_PER_MINUTE: perMinute(60, 'Imports, rebuilds, exports and other long work: units a minute, for each operation of each key'),
  RATE_LIMIT_WORKSPACE_PER_MINUTE: perMinute(120_000, 'Units of all keys of a workspace a minute, without tracking'),
  RATE_LIMIT_USER_PER_MINUTE: perMinute(3_000, 'Units a minute for each X-User-Id of a workspace or key'),
  RATE_LIMIT_CHAT_PER_MINUTE: perMinute(30, 'Chat messages of a user in a window of a minute'),
  RATE_LIMIT_MCP_PER_MINUTE: perMinute(120, 'MCP calls of a connection (key and client name) in a window of a minute'),
  RATE_LIMIT_MCP_CONNECTIONS: z.coerce.number().int().min(1).max(1_000).default(5).describe('Connections of a key that can use up RATE_LIMIT_MCP_PER_MINUTE at once: a key has so many times as many MCP calls a minute, whatever its clients call themselves'),
  RATE_LIMIT_STRANGERS_PER_MINUTE: perMinute(3_000, 'Calls of an address without a valid key or token a minute, at each instance'),
  TRUSTED_PROXIES: z
    .string()
    .transform((text, context) => {
      const networks = parseNetworks(text);
      if (!networks) context.addIssue('must be addresses or networks such as 10.0.0.0/8, separated by commas');
      return networks ?? z.NEVER;
    })
    .optional()
    .describe('Addresses and networks of load balancers, separated by commas: only what they say in X-Forwarded-For is believed. Default: none'),
};

type LimitEnv = z.output<z.ZodObject<typeof limitVariables>>;

export const toLimitSettings = (env: LimitEnv): LimitSettings => ({
  readsPerMinute: env.RATE_LIMIT_READS_PER_MINUTE, writesPerMinute: env.RATE_LIMIT_WRITES_PER_MINUTE, eventsPerMinute: env.RATE_LIMIT_EVENTS_PER_MINUTE,
  jobsPerMinute: env.RATE_LIMIT_JOBS_PER_MINUTE, workspacePerMinute: env.RATE_LIMIT_WORKSPACE_PER_MINUTE, userPerMinute: env.RATE_LIMIT_USER_PER_MINUTE,
  chatPerMinute: env.RATE_LIMIT_CHAT_PER_MINUTE, mcpPerMinute: env.RATE_LIMIT_MCP_PER_MINUTE, mcpConnections: env.RATE_LIMIT_MCP_CONNECTIONS, isStrict: env.RATE_LIMITS_STRICT,
});
