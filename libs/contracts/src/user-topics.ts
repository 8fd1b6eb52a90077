import { defineTopic } from '@millrace/bus/topics';
import type { EventOf } from '@millrace/bus/topics';
import { z } from 'zod';
import type { TopicContract } from './topic-contract.ts';

const userId = z.string().min(1);

/** Two ids that are one person. Producer: event-ingest's outbox, in the transaction of the merge. Safe to apply twice and in any order: readers keep a table of names. */
export const userMerges = defineTopic(
  'users:merges',
  {
    merged: z.object({
      from: userId.meta({ description: 'The name that leads to the other from now on' }),
      to: userId.meta({ description: 'The id that counts; never one that had been merged itself when the event was made' }),
    }),
  },
  { schemaVersion: 1, isPersonal: true, keyOf: ({ to }) => to },
);
export type UserMerge = EventOf<typeof userMerges>;

/**
 * A user is to be erased. Producer: the job of event-ingest, again and again until each service of `userStores` has answered, and once more at its end:
 * handlers are safe to repeat. The entries go when the job is done.
 */
export const userErasures = defineTopic(
  'users:erasures',
  {
    erase: z.object({
      job: z.string().min(1),
      attempt: z.int().positive().meta({ description: 'Grows with each publication of the job; the receipts carry it' }),
      users: z.array(userId).min(1).meta({ description: 'The id and all names that were merged into it' }),
    }),
  },
  { schemaVersion: 1, isPersonal: true, keyOf: ({ job }) => job },
);
export type UserErasure = EventOf<typeof userErasures>;

export const storeReceiptSchema = z.object({
  store: z.string().min(1).meta({ description: 'What held it: a table, or a kind of keys' }),
  found: z.int().nonnegative(),
  erased: z.int().nonnegative(),
  due: z.int().nonnegative().meta({ description: 'Found and not erased yet' }),
});
export type StoreReceipt = z.output<typeof storeReceiptSchema>;

/** What one service did for one `erase`; one store each. No ids of users. Producers: the services of `userStores`. */
export const erasureReceipts = defineTopic(
  'users:erasure-receipts',
  { erased: z.object({ job: z.string().min(1), attempt: z.int().positive(), service: z.string().min(1), stores: z.array(storeReceiptSchema) }) },
  { schemaVersion: 1, keyOf: ({ job }) => job },
);
export type ErasureReceipt = EventOf<typeof erasureReceipts>;

const job = '2f4a7f0e-3d5b-4b8e-9a51-7a0d6c1f9e42';
const merges: TopicContract<typeof userMerges> = {
  topic: userMerges,
  description: 'Two ids that are one person, such as an anonymous one and a member. A reader keeps names, and asks for all names of a user.',
  key: 'the id that counts',
  producers: ['event-ingest'],
  consumers: [{ service: 'recommender', group: 'recommender' }, { service: 'recommender' }],
  hasHeartbeats: false,
  events: { merged: { summary: 'from is a name of to', example: { from: 'anon:5f1c', to: '123' } } },
};
const erasures: TopicContract<typeof userErasures> = {
  topic: userErasures,
  description: 'A user is to be erased in every store. Every service that holds personal data reads it and answers on users:erasure-receipts; event-ingest repeats until all have.',
  key: 'id of the job',
  producers: ['event-ingest'],
  consumers: [{ service: 'catalog-api', group: 'catalog-api' }, { service: 'gateway', group: 'gateway' }, { service: 'recommender', group: 'recommender' }],
  hasHeartbeats: false,
  events: { erase: { summary: 'Erase these users, and say what was there', example: { job, attempt: 1, users: ['123', 'anon:5f1c'] } } },
};
const receipts: TopicContract<typeof erasureReceipts> = {
  topic: erasureReceipts,
  description: 'What a service had of an erased user, by store: counts, no ids.',
  key: 'id of the job',
  producers: ['catalog-api', 'gateway', 'recommender'],
  consumers: [{ service: 'event-ingest', group: 'event-ingest' }],
  hasHeartbeats: false,
  events: { erased: { summary: 'The service has erased what it could', example: { job, attempt: 1, service: 'recommender', stores: [{ store: 'counts', found: 2, erased: 2, due: 0 }] } } },
};

/** For `topics`. */
export const userTopics: readonly TopicContract[] = [merges, erasures, receipts];
