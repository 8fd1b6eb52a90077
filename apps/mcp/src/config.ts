import { publicHttpVariables, redisVariables, serviceVariables } from '@millrace/service';
import { tools } from '@millrace/mcp-tools';
import type { ToolLimits } from '@millrace/mcp-tools';
import { z } from 'zod';

const toolNames = new Set(tools.map(({ name }) => name));
const listOf = (text: string): string[] => text.split(',').map((one) => one.trim()).filter(Boolean);

const limitPattern = /^(\w+)=(\d{1,7})\/(\d{1,9})$/;
const isLimit = (text: string): boolean => toolNames.has(limitPattern.exec(text)?.[1] ?? '');
/** By tool. */
export function toolLimitsOf({ MCP_TOOL_LIMITS: text = '' }: Pick<Config, 'MCP_TOOL_LIMITS'>): Readonly<Record<string, ToolLimits>> {
  return Object.fromEntries(listOf(text).map((item) => {
    const [, tool = '', perMinute, perDay] = limitPattern.exec(item) ?? [];
    return [tool, { perMinute: Number(perMinute), perDay: Number(perDay) }];
  }));
}

const isOrigin = (text: string): boolean => URL.parse(text)?.origin === text && text !== 'null';

export const configSchema = z.object({
  ...serviceVariables,
  ...publicHttpVariables(8108),
  REDIS_URL: redisVariables.REDIS_URL.describe('Redis of state: calls of tools by caller, used confirmations'),
  GATEWAY_URL: z.url({ protocol: /^https?$/ }).default('http://127.0.0.1:8080').describe('The gateway, which the tools call in the name of their caller'),
  MCP_ORIGINS: z.string().default('').transform(listOf).pipe(z.array(z.string().refine(isOrigin, 'must be origins such as https://desk.example'))).describe('Pages that may call /mcp, by their origins, separated by commas. Default: none, only programs, which send no Origin'),
  MCP_TOOL_LIMITS: z.string().refine((text) => listOf(text).every(isLimit), 'must be tool=calls a minute/calls a day, such as update_stock=20/500, of tools that there are').optional()
    .describe("Calls of a tool by one caller, instead of the tool's own limits: tool=a minute/a day, separated by commas"),
  MCP_TOOL_TIMEOUT_MS: z.coerce.number().int().min(500).max(25_000).default(20_000).describe('Longest time of one call of a tool, milliseconds'),
});
export type Config = z.output<typeof configSchema>;
