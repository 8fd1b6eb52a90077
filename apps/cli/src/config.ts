import { z } from 'zod';

/** Variables of the command line; none is required: a local stack is found by itself. */
export const configSchema = z.object({
  MILLRACE_URL: z.url().optional().describe('The gateway; default: the local stack, else http://127.0.0.1:8080'),
  MILLRACE_API_KEY: z.string().optional().describe("API key; default: the local stack's development key"),
  MILLRACE_STACK_FILE: z.string().optional().describe('Where npm start describes the local stack'),
  DATABASE_URL: z.url().optional().describe('Postgres as its owner: for migrate and keys only (POSTGRES_HOST/DB/USER/PASSWORD are accepted too)'),
  MILLRACE_ROLES_FILE: z.string().default('.local/roles.env').describe('Where migrate writes the <APP>_DATABASE_URL of each service (mode 0600)'),
});
export type Config = z.output<typeof configSchema>;
