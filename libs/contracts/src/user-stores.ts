/**
 * Where personal data of shoppers are, by service: what erasing a user must reach. The test of this table (test/user-stores.test.ts) fails for a service
 * that is missing here, for one that has stores and no handler of `users:erasures`, and for a table with a user's column that is not named.
 */
export interface UserStores {
  /** `topic`: by a handler of `users:erasures`. `job`: event-ingest's job itself. `none`: nothing of shoppers is kept; `because` says why. */
  readonly erasedBy: 'topic' | 'job' | 'none';
  readonly stores: readonly string[];
  readonly because?: string;
}

export const userStores: Readonly<Record<string, UserStores>> = {
  'event-ingest': {
    erasedBy: 'job',
    stores: ['events.interaction_logs', 'events.users', 'events.user_aliases', 'events.deferred_events', 'events.quarantine', 'events.outbox', 'context', 'interactions', 'users:merges', 'dead letters'],
  },
  recommender: { erasedBy: 'topic', stores: ['recs.rankings', 'recs.user_aliases', 'recs.experiment_lists', 'recs.experiment_events', 'counts'] },
  'catalog-api': { erasedBy: 'topic', stores: ['searches'] },
  // Its audit log names callers by their key, and of operations on users the template of the path, not the path.
  gateway: { erasedBy: 'topic', stores: ['sessions', 'gateway.plans'] },
  'embedding-worker': { erasedBy: 'none', stores: [], because: 'products only' },
  'es-sync-worker': { erasedBy: 'none', stores: [], because: 'products only' },
  'ut360-lookup': { erasedBy: 'none', stores: [], because: 'subscribers by ISDN, not shoppers by user id: `millrace ut360 erase`' },
  pos: { erasedBy: 'none', stores: [], because: 'customers and invoices of the point of sale are read through and never kept' },
  mcp: { erasedBy: 'none', stores: [], because: 'asks the API and keeps counts by digests of callers' },
  cli: { erasedBy: 'none', stores: [], because: 'keeps nothing' },
};

/** Services whose receipts a job waits for. */
export const erasingServices: readonly string[] = Object.entries(userStores).flatMap(([service, { erasedBy }]) => (erasedBy === 'topic' ? [service] : []));
