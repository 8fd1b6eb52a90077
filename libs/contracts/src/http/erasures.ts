import { z } from 'zod';
import { defineOperation } from '../operation.ts';
import { storeReceiptSchema } from '../user-topics.ts';
import { userParams } from './events.ts';

const common = { service: 'event-ingest', scope: 'users:erase' } as const;

export const erasureSchema = z
  .object({
    job: z.string(),
    state: z.enum(['running', 'done']),
    phase: z.enum(['marking', 'erasing', 'draining', 'checking', 'done']).meta({
      description: 'marking: Redis is told to refuse the user. erasing: every store, once. draining: events on their way are waited for. checking: every store is looked at again',
    }),
    requested_at: z.string(),
    finished_at: z.string().nullable(),
    names: z.int().meta({ description: 'Ids that were erased: the one asked for and those merged with it' }),
    waiting_for: z.array(z.string()).meta({ description: 'What the job waits for now, in words; empty: nothing' }),
    receipts: z.array(storeReceiptSchema.extend({ service: z.string() })).meta({ description: 'By store: found = erased + due' }),
  })
  .meta({ id: 'Erasure' });
export type ErasureBody = z.output<typeof erasureSchema>;

const example: ErasureBody = {
  job: '2f4a7f0e-3d5b-4b8e-9a51-7a0d6c1f9e42', state: 'running', phase: 'draining', requested_at: '2026-11-02T08:00:00.000Z', finished_at: null, names: 2,
  waiting_for: ['receipts of recommender'], receipts: [{ service: 'event-ingest', store: 'events.interaction_logs', found: 41, erased: 41, due: 0 }],
};

export const eraseUser = defineOperation({
  ...common, operationId: 'eraseUser', method: 'delete', path: '/api/users/{id}', audited: true, isPersonal: true, summary: 'Erase a user in every store',
  description: 'The id and every id that was merged with it, for ever: their events are answered 410 from now on. Asking again shows the same job; a user that was never there has a job with zeros.',
  params: userParams,
  responses: { 202: { description: 'The job; it goes on whatever is killed', schema: erasureSchema, example } },
});

export const getErasure = defineOperation({
  ...common, operationId: 'getErasure', method: 'get', path: '/api/admin/erasures/{job}', summary: 'How far erasing a user has come, with a receipt for each store',
  params: z.strictObject({ job: z.uuid() }),
  responses: { 200: { description: 'The job', schema: erasureSchema, example } },
});

export const erasureOperations = [eraseUser, getErasure] as const;
