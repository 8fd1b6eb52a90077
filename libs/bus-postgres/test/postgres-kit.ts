import { afterAll } from '@jest/globals';
import { testServer, uniqueName } from '@millrace/testing';
import { Client } from 'pg';
import { createPostgresBus } from '../src/index.ts';
import type { PostgresBusOptions } from '../src/index.ts';

/** A schema of its own for a file's buses, with short waits; dropped afterwards. */
export function testTopics(server = testServer('postgres')) {
  const schema = uniqueName('bus').replaceAll(/[^a-z0-9]/g, '_');
  const url = new URL(server);
  url.searchParams.set('schema', schema);
  afterAll(async () => {
    const client = new Client({ connectionString: server });
    await client.connect();
    await client.query(`drop schema if exists "${schema}" cascade`);
    await client.end();
  });
  return {
    schema, url: url.href,
    open: (more: Partial<PostgresBusOptions> = {}) => createPostgresBus({ url: url.href, claimIdleMs: 2_000, leaseMs: 2_000, retryBaseMs: 5, ...more }),
  };
}
