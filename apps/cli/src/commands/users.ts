import { setTimeout as delay } from 'node:timers/promises';
import type { Client } from '@millrace/client/contract';
import { eraseUser, getErasure } from '@millrace/contracts';
import type { ErasureBody } from '@millrace/contracts';
import { askPatiently } from '../ask-patiently.ts';
import { renderTable } from '../table.ts';
import type { Column } from '../table.ts';
import { UsageError } from '../usage-error.ts';

type Receipt = ErasureBody['receipts'][number];
const columns: readonly Column<Receipt>[] = [
  { head: 'SERVICE', of: ({ service }) => service },
  { head: 'STORE', of: ({ store }) => store },
  { head: 'FOUND', of: ({ found }) => found },
  { head: 'ERASED', of: ({ erased }) => erased },
  { head: 'DUE', of: ({ due }) => due },
];

const POLL_MS = 500;
const JOB = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** Starts erasing the user, or finds the job that does it or did it. */
export async function startErasure(client: Client, id: string): Promise<ErasureBody> {
  if (id === '' || id.length > 200) throw new UsageError('a user id has 1 to 200 characters');
  // An URL has no such part.
  if (id === '.' || id === '..') throw new UsageError(`the id ${id} cannot stand in an URL`);
  return (await client.call(eraseUser, { params: { id } })).body;
}

export async function showErasure(client: Client, job: string): Promise<ErasureBody> {
  if (!JOB.test(job)) throw new UsageError(`${job} is not the id of a job: \`millrace users erase\` prints it`);
  return (await client.call(getErasure, { params: { job } })).body;
}

/** Until the job is done; tells what it waits for whenever that changes. */
export async function waitForErasure(client: Client, job: string, tell: (line: string) => void): Promise<ErasureBody> {
  for (let told = ''; ; await delay(POLL_MS)) {
    const found = await askPatiently(() => showErasure(client, job));
    if (found.state === 'done') return found;
    const line = [found.phase, ...found.waiting_for].join(': ');
    if (line !== told) tell(line);
    told = line;
  }
}

export const describeErasure = ({ job, state, phase, names, waiting_for: waitingFor, receipts }: ErasureBody): readonly string[] => [
  `${job}: ${state === 'done' ? 'done' : phase}, ${names} ${names === 1 ? 'name' : 'names'}`,
  ...waitingFor.map((what) => `waits for ${what}`),
  renderTable(columns, receipts),
];
