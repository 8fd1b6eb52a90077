import { SinkUnavailableError } from '@millrace/bus';
import type { BatchHandler, ManagedBus } from '@millrace/bus';
import { erasureReceipts, groupsOfTopic, searches } from '@millrace/contracts';
import type { UserErasure } from '@millrace/contracts';
import type { Pseudonym } from '@millrace/service';

export interface EraseSearchesDeps {
  readonly bus: Pick<ManagedBus, 'publish' | 'eraseEntries' | 'eraseDeadLetters'>;
  /** Without one, the log has no users. */
  readonly pseudonym: Pseudonym | undefined;
}

const SERVICE = 'catalog-api';

/** Removes what a user searched for from the search log and its dead letters, by the pseudonym, and answers with a receipt. Counts of searches name nobody. Safe to repeat. */
export const eraseSearches =
  ({ bus, pseudonym }: EraseSearchesDeps): BatchHandler<UserErasure> =>
  async (events) => {
    for (const { job, attempt, users } of events) {
      try {
        const names = new Set(pseudonym ? users.map(pseudonym) : []);
        const isTheirs = (fields: ReadonlyMap<string, string>): boolean => names.has(fields.get('user') ?? '');
        const entries = names.size === 0 ? { erased: 0, due: 0 } : await bus.eraseEntries({ topic: searches, isTheirs, isForced: false });
        const letters = names.size === 0 ? 0 : await bus.eraseDeadLetters({ topic: searches, isTheirs, groups: groupsOfTopic(searches.name) });
        const erased = entries.erased + letters;
        await bus.publish(erasureReceipts, [{ type: 'erased', job, attempt, service: SERVICE, stores: [{ store: searches.name, found: erased + entries.due, erased, due: entries.due }] }]);
      } catch (error) {
        throw new SinkUnavailableError('the search log cannot be erased now', { cause: error });
      }
    }
  };
