import { setTimeout as delay } from 'node:timers/promises';
import type { Client } from '@millrace/client/contract';
import { clearSync, getSync, startResync } from '@millrace/contracts';
import type { SyncStats } from '@millrace/contracts';
import { askPatiently } from '../ask-patiently.ts';

export const syncStats = async (client: Client): Promise<SyncStats> => (await client.call(getSync)).body;

export const syncClear = async (client: Client): Promise<number> => (await client.call(clearSync)).body.cleared;

/** Starts a resync and waits until the new index is live. Throws where it failed. */
export async function resync(client: Client, print: (line: string) => void): Promise<SyncStats> {
  const before = await syncStats(client);
  const { started } = (await client.call(startResync)).body;
  print(started ? 'resync started' : 'a resync is running already');
  for (let shown = -1; ; ) {
    const stats = await askPatiently(() => syncStats(client));
    if (stats.resync.error !== null) throw new Error(`the resync failed: ${stats.resync.error}`);
    if (!stats.resync.running && stats.index !== before.index) return stats;
    if (!stats.resync.running && stats.index === before.index && shown >= 0) throw new Error('the resync ended without a new index');
    if (stats.resync.done !== shown) print(`${stats.resync.done} products`);
    shown = stats.resync.done;
    await delay(500);
  }
}
