import { z } from 'zod';
import { isStorable, problemOfJson } from '../json-limits.ts';
import { jsonSchema } from '../json-schema.ts';
import { defineOperation } from '../operation.ts';

/** What one plan, one step's answer and one caller may have. Bytes of a step are those of its JSON. */
export const PLAN_LIMITS = { steps: 50, stepBytes: 65_536, bytes: 131_072, answerBytes: 8_192, running: 10, kept: 100 } as const;

const common = { service: 'gateway', scope: 'plans' } as const;
const path = '/api/plans/{id}';
const params = z.strictObject({ id: z.uuid() });
const bytesOf = (value: unknown): number => new TextEncoder().encode(JSON.stringify(value)).length;
const text = (max: number) => z.string().min(1).max(max).refine(isStorable, 'holds a character that cannot be stored (NUL, or half of a surrogate pair)');
const userId = z.string().min(1).max(200).regex(/^[\x21-\x7e]+$/, 'must be of visible ASCII characters');
const scalar = z.union([text(1_000), z.number(), z.boolean()]);
/** Checked without recursion, and without being copied. */
const anyJson = z.unknown().transform((value, ctx) => {
  const problem = typeof value === 'object' && value !== null ? problemOfJson(value) : undefined;
  if (problem === undefined) return value;
  ctx.addIssue({ code: 'custom', message: problem });
  return z.NEVER;
});

export const planStepSchema = z
  .strictObject({
    operation: text(100).optional().meta({ description: 'operationId of an operation of this API', example: 'adjustStock' }),
    tool: text(100).optional().meta({ description: 'Instead of an operation: a tool of the MCP server, called with `arguments`' }),
    params: z.record(text(100), z.union([text(1_000), z.number()])).optional().meta({ description: 'Of the path' }),
    query: z.record(text(100), z.union([scalar, z.array(scalar).max(100)])).optional(),
    headers: z.strictObject({ 'if-match': z.string().min(1).max(1_000).regex(/^[\x20-\x7e]+$/, 'must be of visible ASCII characters').optional(), 'x-user-id': userId.optional() }).optional(),
    body: anyJson.optional().meta({ description: 'As the operation takes it' }),
    arguments: anyJson.optional().meta({ description: 'Of the tool' }),
  })
  .refine(({ operation, tool }) => (operation === undefined) !== (tool === undefined), { error: 'must have exactly one of operation and tool' })
  .refine((step) => bytesOf(step) <= PLAN_LIMITS.stepBytes, { error: `must be at most ${PLAN_LIMITS.stepBytes} bytes of JSON` })
  .meta({ id: 'PlanStep' });
export type PlanStep = z.output<typeof planStepSchema>;

const newPlanSchema = z
  .strictObject({
    title: z.string().trim().max(200).refine(isStorable, 'holds a character that cannot be stored').default('').meta({ example: 'Put the new lamps on sale' }),
    session_id: z.uuid().optional().meta({ description: 'A conversation of `X-User-Id` under this key: its `plan` gets `running_plan` with the state of this plan' }),
    steps: z.array(planStepSchema).min(1).max(PLAN_LIMITS.steps),
  })
  .refine((plan) => bytesOf(plan) <= PLAN_LIMITS.bytes, { error: `must be at most ${PLAN_LIMITS.bytes} bytes of JSON` })
  .meta({ id: 'NewPlan' });

export const planStates = ['ready', 'running', 'waiting', 'cancelling', 'done', 'failed', 'cancelled'] as const;
export type PlanState = (typeof planStates)[number];
export const planStepStates = ['pending', 'running', 'done', 'failed', 'skipped', 'unknown'] as const;
export type PlanStepState = (typeof planStepStates)[number];
const time = z.string();

export const planQuestionSchema = z
  .object({
    id: z.int().positive().meta({ description: 'Belongs into the answer' }),
    step: z.int().positive(),
    kind: z.enum(['unclear', 'unavailable', 'caller_ended']).meta({
      description: '`unclear`: nobody knows whether the step had its effect. `unavailable`: it was refused over and over, and had none. `caller_ended`: the token of whoever ran the plan has ended; run it again with a new one',
    }),
    detail: z.string(),
    retry_after: time.nullable().meta({ description: 'Of `unclear`: from then on `retry` is taken; before, the call that broke off might still arrive' }),
  })
  .meta({ id: 'PlanQuestion' });
export type PlanQuestion = z.output<typeof planQuestionSchema>;

export const planStepStatusSchema = z
  .object({
    step: z.int().positive().meta({ description: 'Place in the plan, from 1' }),
    operation: z.string().nullable(), tool: z.string().nullable(),
    state: z.enum(planStepStates).meta({ description: '`unknown`: it was cancelled while nobody knew whether it had its effect' }),
    attempts: z.int().nonnegative(),
    started_at: time.nullable(), ended_at: time.nullable(),
    status: z.int().nullable().meta({ description: 'Of the answer' }),
    answer: jsonSchema.meta({ description: `What was answered, at most ${PLAN_LIMITS.answerBytes} bytes; a text where it is no JSON or was cut; null: nothing` }),
    truncated: z.boolean().meta({ description: 'The answer was longer' }),
  })
  .meta({ id: 'PlanStepStatus' });

export const planSchema = z
  .object({
    id: z.uuid(), state: z.enum(planStates), title: z.string(), session_id: z.uuid().nullable(), question: planQuestionSchema.nullable().meta({ description: 'Of a plan that waits' }),
    created_at: time, updated_at: time, ended_at: time.nullable(), steps: z.array(planStepStatusSchema),
  })
  .meta({ id: 'Plan' });
export type Plan = z.output<typeof planSchema>;

const step: z.output<typeof planStepStatusSchema> = { step: 1, operation: 'adjustStock', tool: null, state: 'pending', attempts: 0, started_at: null, ended_at: null, status: null, answer: null, truncated: false };
const example: Plan = { id: '5b1d6b56-6a9e-4a53-8f0c-2d9a6a4f1c11', state: 'ready', title: 'Put the new lamps on sale', session_id: null, question: null, created_at: '2026-11-02T08:00:00.000Z', updated_at: '2026-11-02T08:00:00.000Z', ended_at: null, steps: [step] };

export const createPlan = defineOperation({
  ...common, operationId: 'createPlan', method: 'post', path: '/api/plans', notDelegable: true, summary: 'Make a plan: calls to this API, one after the other, each once',
  description: 'Every step is checked like a call of its own: operation, scope, parameters, body. Nothing is called before `run`. Each is called with the one scope that it needs. Plans, feeds, downloads, uploads, keys, and what reads or erases data of persons cannot be steps.',
  headers: z.object({ 'x-user-id': userId.optional().meta({ description: 'Required with session_id' }) }),
  body: newPlanSchema, bodyExample: { title: 'Put the new lamps on sale', steps: [{ operation: 'createSynonym', body: { kind: 'equivalent', terms: ['lamp', 'light'] } }, { operation: 'getProduct', params: { sku: 'MR-0001' } }] },
  responses: { 201: { description: 'Made; it does nothing yet', schema: planSchema, example } },
});
export const runPlan = defineOperation({
  ...common, operationId: 'runPlan', method: 'post', path: `${path}/run`, notDelegable: true, summary: 'Run a plan, or answer what it asks', params,
  description: 'Safe to repeat: a plan runs once, whatever is sent again and to whichever gateway. A plan that waits goes on with the answer to its question.',
  body: z
    .strictObject({
      on_interrupted: z.enum(['retry', 'skip']).optional().meta({ description: '`retry`: call the step again. `skip`: go on with the next one' }),
      question: z.int().positive().optional().meta({ description: 'Id of the question that this answers' }),
    })
    .refine(({ on_interrupted: then, question }) => (then === undefined) === (question === undefined), { error: 'must have both of on_interrupted and question, or neither' }),
  bodyExample: {},
  responses: { 202: { description: 'It runs, or has run: `state` says', schema: planSchema, example: { ...example, state: 'running' } } },
});
export const getPlan = defineOperation({
  ...common, operationId: 'getPlan', method: 'get', path, summary: 'Read a plan, its steps and their answers', params,
  responses: { 200: { description: 'As it is now', schema: planSchema, example } },
});
export const cancelPlan = defineOperation({
  ...common, operationId: 'cancelPlan', method: 'post', path: `${path}/cancel`, notDelegable: true, summary: 'End a plan before its next step', params,
  description: 'A step that is being called ends by itself: the plan is `cancelling` until then, and `done` where that was the last one. Nothing is undone. Safe to repeat; 409 where the plan has ended otherwise.',
  responses: { 202: { description: 'It ends', schema: planSchema, example: { ...example, state: 'cancelled' } } },
});
export const planEvents = defineOperation({
  ...common, operationId: 'planEvents', method: 'get', path: `${path}/events`, isFeed: true, summary: 'What happens in a plan (server-sent events)', params,
  description: '`plan` with its state (and question), `step` with its state and status; without answers. From the beginning, or after `Last-Event-ID`; a comment every 15 s. The stream ends with the plan; asked for again after the last event it answers 204, so that a browser stops.',
  headers: z.object({ 'last-event-id': z.string().regex(/^\d{1,9}$/, 'must be the id of an event of this plan').optional() }),
  responses: {
    200: { description: 'A stream', schema: z.string(), mediaType: 'text/event-stream', example: 'id: 2\nevent: step\ndata: {"step":1,"state":"done","status":200,"attempts":1}\n\n' },
    204: { description: 'The plan has ended, and there is nothing after that event' },
  },
});

export const planOperations = [createPlan, runPlan, getPlan, cancelPlan, planEvents] as const;
