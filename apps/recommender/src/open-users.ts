import { withMetrics, withTracing } from '@millrace/bus';
import type { ManagedBus } from '@millrace/bus';
import { userErasures, userMerges } from '@millrace/contracts';
import type { UserMerge } from '@millrace/contracts';
import { every } from '@millrace/service';
import type { Logger } from '@millrace/service';
import type { Registry } from 'prom-client';
import type { RecsDb } from './database.ts';
import { eraseUsers, usersOfMerge, withoutErased } from './erase-users.ts';
import type { ErasedUsers } from './erase-users.ts';
import type { Forgotten } from './user-counts.ts';
import type { NameBook } from './user-names.ts';

export interface FollowUsersDeps {
  /** On a pool of its own: its transactions wait for those of other instances. */
  readonly locking: RecsDb;
  readonly forgetCounts: (userId: string) => Promise<Forgotten>;
  readonly flush: () => Promise<void>;
  readonly bus: ManagedBus;
  readonly erased: ErasedUsers;
  readonly names: NameBook;
  readonly logger: Logger;
  readonly metrics: Registry;
}

const GROUP = 'recommender';
const REFRESH_MS = 2_000;

/** Merges and erasures of users, as event-ingest tells of them. Returns the function that stops the schedule. */
export async function followUsers({ bus, erased, names, logger, metrics, ...stores }: FollowUsersDeps): Promise<() => void> {
  const ofMerges = { topic: userMerges.name, group: GROUP };
  const ofErasures = { topic: userErasures.name, group: GROUP };
  const keepNames = withoutErased<UserMerge>(erased, usersOfMerge, metrics)(names.keep);
  await bus.subscribe(userMerges, { group: GROUP }, withTracing(ofMerges)(withMetrics({ registry: metrics, ...ofMerges })(keepNames)));
  await bus.subscribe(userMerges, { mode: 'broadcast', onGap: async () => names.forgetAll() }, names.forget);
  const erase = eraseUsers({ ...stores, bus, erased });
  await bus.subscribe(userErasures, { group: GROUP }, withTracing(ofErasures)(withMetrics({ registry: metrics, ...ofErasures })(async (events) => {
    await erase(events);
    names.forgetAll();
  })));
  return every(REFRESH_MS, { what: 'erased users', logger }, () => erased.refresh());
}
