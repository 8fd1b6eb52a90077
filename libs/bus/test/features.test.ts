import { describe, expect, it } from '@jest/globals';
import type { Redis } from '@millrace/redis-kit';
import { probeServer } from '../src/redis/features.ts';

/** A server as INFO shows it. */
const server = (fields: Record<string, string>): Redis => {
  const text = Object.entries(fields).map(([name, value]) => `${name}:${value}`).join('\r\n');
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- INFO is all that is asked
  return { info: async () => text } as unknown as Redis;
};
const good = { redis_version: '7.0.15', maxmemory: '1000', maxmemory_policy: 'noeviction', aof_enabled: '1' };

async function probe(fields: Record<string, string>) {
  const warnings: string[] = [];
  const log = (_fields: object, message: string): void => void warnings.push(message);
  return { features: await probeServer(server(fields), { info: log, warn: log, error: log }), warnings };
}

describe('probeServer', () => {
  it.each([
    { name: 'the oldest that is supported', fields: good, hasExactLag: false, warnings: [] },
    { name: 'one whose own lag is right', fields: { ...good, redis_version: '8.2.3' }, hasExactLag: true, warnings: [] },
    { name: 'one that evicts', fields: { ...good, maxmemory_policy: 'allkeys-lru' }, hasExactLag: false, warnings: [expect.stringContaining('noeviction')] },
    { name: 'one that would evict, without a bound', fields: { ...good, maxmemory: '0', maxmemory_policy: 'allkeys-lru' }, hasExactLag: false, warnings: [] },
    { name: 'one that forgets at a crash', fields: { ...good, aof_enabled: '0' }, hasExactLag: false, warnings: [expect.stringContaining('no append-only file')] },
  ])('tells of $name', async ({ fields, hasExactLag, warnings }) => {
    const probed = await probe(fields);
    expect(probed.features).toEqual({ version: fields.redis_version, hasExactLag });
    expect(probed.warnings).toEqual(warnings);
  });

  it.each(['6.2.14', '5.0.0', '0'])('refuses Redis %s with a sentence', async (version) => {
    await expect(probe({ ...good, redis_version: version })).rejects.toMatchObject({ code: 'unsupported_server', message: `the bus needs Redis 7.0 or later, or Valkey: this server is ${version}` });
  });
});
