import { expect, it } from '@jest/globals';
import { silentLogger, SinkUnavailableError } from '@millrace/bus';
import { LeaseLostError } from '@millrace/bus/engine';
import { createTestTopic } from '@millrace/bus/testing';
import { describeWith, startNatsServer } from '@millrace/testing';
import { createConnection } from '../src/connection.ts';
import type { Connection, Nats } from '../src/connection.ts';
import { createGroups } from '../src/groups.ts';
import { readAll } from '../src/read-all.ts';
import { createState } from '../src/state.ts';

describeWith('nats-server', 'groups on NATS', () => {
  it("refuses a holder's takeover where a later one, with a higher token, has taken the group already", async () => {
    const server = await startNatsServer();
    const connection = createConnection(server.url, silentLogger);
    const groups = createGroups(connection, createState(connection));
    const of = { topic: createTestTopic(), group: 'g' };
    await groups.register(of, false);
    const later = await groups.replaceConsumer(of, 7);
    await expect(groups.replaceConsumer(of, 6)).rejects.toThrow(LeaseLostError);
    expect((await groups.find(of.topic.name, of.group))?.value).toMatchObject({ consumer: later, token: 7 });
    expect((await groups.info(of.topic.name, of.group))?.name).toBe(later);
    await connection.close();
    await server.stop();
  });
});

/** What a server sends of a consumer's messages, page by page; it says that 3 are left all the while. */
function sending(pages: readonly (readonly number[])[]): Connection['use'] {
  const left = [...pages];
  const fetch = async () => (async function* () { for (const seq of left.shift() ?? []) yield { seq, time: new Date(0), data: new Uint8Array() }; })();
  const consumer = { info: async () => ({ num_pending: 3 }), fetch };
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- as much of it as is used
  return (work) => work({ js: { consumers: { get: async () => consumer } } } as unknown as Nats);
}

it('takes no part of a stream for the whole where the server stops sending', async () => {
  const seen: number[] = [];
  const take = ({ number }: { readonly number: number }): boolean => seen.push(number) > 0;
  await expect(readAll(sending([[1, 2], []]), 's', {}, take)).rejects.toThrow(SinkUnavailableError);
  await readAll(sending([[3, 4, 5]]), 's', {}, take);
  expect(seen).toEqual([1, 2, 3, 4, 5]);
});
