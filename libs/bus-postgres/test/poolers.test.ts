import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, it } from '@jest/globals';
import { silentLogger, SinkUnavailableError } from '@millrace/bus';
import { BusSetupError } from '@millrace/bus/engine';
import { createClient } from '../src/client.ts';

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

/** Refuses whoever connects with this error (PostgreSQL's protocol, ErrorResponse). */
async function startRefusing(severity: string, code: string, message: string): Promise<string> {
  const fields = Buffer.from(`S${severity}\0V${severity}\0C${code}\0M${message}\0\0`);
  const head = Buffer.alloc(5);
  head.write('E');
  head.writeInt32BE(fields.length + 4, 1);
  const server = createServer((socket) => void socket.once('data', () => socket.end(Buffer.concat([head, fields]))).on('error', () => undefined)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  closing.push(() => server.close());
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- of a server that listens on a port
  return `postgres://somebody:secret@127.0.0.1:${(server.address() as AddressInfo).port}/db`;
}

const refusal = async (url: string): Promise<unknown> => {
  const client = createClient(url, { max: 1, logger: silentLogger });
  closing.push(() => client.close());
  return client.run('select 1', []).then(() => undefined, (error: unknown) => error);
};

it.each([
  ['PgBouncer without a free connection', 'FATAL', '08P01', 'no more connections allowed (max_client_conn)'],
  ['Supavisor without a free connection', 'FATAL', 'XX000', 'MaxClientsInSessionMode: max clients reached'],
  ['PgBouncer that has no server', 'FATAL', '08P01', 'server login failed: connection refused'],
  ['a server that shuts down', 'FATAL', '57P01', 'terminating connection due to administrator command'],
])('takes %s for one that does not answer now', async (_who, severity, code, message) => {
  const error = await refusal(await startRefusing(severity, code, message));
  expect(error).toBeInstanceOf(SinkUnavailableError);
  expect(String(error)).toContain(message);
});

it.each([
  ['a wrong password', '28P01', /refuses the password of BUS_URL/],
  ['a database that is not there', '3D000', /has no database of the name in BUS_URL/],
])('takes %s for a set-up that somebody has to mend', async (_what, code, says) => {
  const error = await refusal(await startRefusing('FATAL', code, 'no'));
  expect(error).toBeInstanceOf(BusSetupError);
  expect(String(error)).toMatch(says);
});
