import { setTimeout as delay } from 'node:timers/promises';
import type { Client } from '@millrace/client/contract';
import { getCounts, rebuildRecommendations } from '@millrace/contracts';
import type { CountsBody } from '@millrace/contracts';
import { askPatiently } from '../ask-patiently.ts';
import { FailedError } from '../failed-error.ts';

type Rebuild = CountsBody['rebuilds'][number];

export const countsOf = async (client: Client): Promise<CountsBody> => (await client.call(getCounts)).body;

const bytes = (value: number | null): string => (value === null ? 'none yet' : `${Math.round(value).toLocaleString('en')} bytes`);

export const describeMemory = ({ bytes_per_user: user, bytes_per_item: item, users_measured: users, items_measured: items }: CountsBody): readonly string[] => [
  `a user: ${bytes(user)} (${users} measured)`, `a product: ${bytes(item)} (${items} measured)`,
];

/** The kinds that were off most, first. */
function describeDrift(drift: Rebuild['drift']): string {
  const off = Object.entries(drift ?? {}).flatMap(([kind, share]): [string, number][] => (share > 0 ? [[kind, share]] : [])).toSorted(([, a], [, b]) => b - a);
  return off.length === 0 ? 'no drift' : `drift: ${off.map(([kind, share]) => `${kind} ${(share * 100).toFixed(2)} %`).join(', ')}`;
}

export function describeRebuild({ id, reason, started_at: startedAt, finished_at: finishedAt, generation, events, users, drift, error }: Rebuild): string {
  const name = `${id}  ${reason}  ${startedAt}`;
  if (generation !== null) return `${name}  ${events ?? 0} events of ${users ?? 0} users, ${describeDrift(drift)}`;
  return `${name}  ${finishedAt === null ? 'running' : `failed: ${error ?? 'unknown'}`}`;
}

const POLL_MS = 500;

/** Begins a rebuild. */
export const rebuildCounts = async (client: Client): Promise<boolean> => (await client.call(rebuildRecommendations)).body.started;

/** Resolves with the next rebuild that ends after `before`; throws FailedError where it failed. */
export async function waitForRebuild(client: Client, before: number): Promise<Rebuild> {
  for (;;) {
    const ended = (await askPatiently(() => countsOf(client))).rebuilds.findLast(({ id, finished_at: at }) => id > before && at !== null);
    if (ended !== undefined && ended.generation === null) throw new FailedError(`the rebuild failed: ${ended.error ?? 'unknown'}. It is tried again by itself: millrace recs status`);
    if (ended !== undefined) return ended;
    await delay(POLL_MS);
  }
}

/** Number of the newest rebuild that has ended; 0 where there was none. */
export const lastEnded = async (client: Client): Promise<number> => Math.max(0, ...(await countsOf(client)).rebuilds.filter(({ finished_at: at }) => at !== null).map(({ id }) => id));
