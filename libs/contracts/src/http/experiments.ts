import { z } from 'zod';
import { NOT_STORABLE, isStorable } from '../json-limits.ts';
import { defineOperation } from '../operation.ts';
import { recommendationStages } from './recommendations.ts';

const common = { service: 'recommender', scope: 'admin' } as const;

export const EXPERIMENT_LIMITS = { variants: 10, weight: 10_000, stored: 500, conversionDays: 90 } as const;

const key = z.string().regex(/^[a-z0-9][a-z0-9_-]{0,63}$/, 'must be 1 to 64 of the characters a-z 0-9 - _, beginning with a letter or a digit');
const share = z.number().min(0).max(1);
const weight = z.number().min(0).max(10);

const leavable = recommendationStages.filter((stage) => stage !== 'newest');

/** The knobs of the ranking that a variant may turn; what is not named stays as it is. */
export const experimentSettingsSchema = z
  .strictObject({
    personalize: z.boolean().exactOptional().meta({ description: 'false: the list that a stranger gets, without what was just bought' }),
    category_boost: z.number().min(0).max(5).exactOptional().meta({ description: 'A category that all looks were in weighs 1 + so much; now 0.6' }),
    seen_penalty: share.exactOptional().meta({ description: 'What was seen last weighs 1 - so much; now 0.7' }),
    price_floor: share.exactOptional().meta({ description: 'The least that a price far from the usual weighs; now 0.6' }),
    diversity: share.exactOptional().meta({ description: 'How much of the order is variety; now 0.15' }),
    brand_share: share.exactOptional().meta({ description: 'Share of the places that one brand may take (two at least); now 0.4' }),
    discovery: weight.exactOptional().meta({ description: 'Everything that is no repeat of an own purchase; now 1' }),
    co_view: weight.exactOptional().meta({ description: 'Looked at together; now 1' }),
    similar: weight.exactOptional().meta({ description: 'Alike by content; now 0.5' }),
    trending: weight.exactOptional().meta({ description: 'Trending; now 0.7' }),
    without: z.array(z.enum(leavable)).max(leavable.length).exactOptional().meta({ description: 'Stages that fill no place; newest stays, so that no list is empty' }),
  })
  .meta({ id: 'ExperimentSettings' });
export type ExperimentSettings = z.output<typeof experimentSettingsSchema>;

export const variantSchema = z.strictObject({
  key,
  weight: z.int().min(1).max(EXPERIMENT_LIMITS.weight).meta({ description: 'Its part of the users, beside the weights of the others' }),
  settings: experimentSettingsSchema,
});

const time = z.iso.datetime({ offset: true, error: 'must be an ISO 8601 time such as 2026-11-02T08:00:00Z' })
  .refine((text) => Date.parse(text) >= Date.UTC(1970, 0) && Date.parse(text) <= Date.UTC(9999, 11, 31), { error: 'must be a time from 1970 to 9999' });

const fields = {
  description: z.string().trim().min(1).max(1_000).refine(isStorable, NOT_STORABLE).meta({ description: 'What is tried, and what is expected of it' }),
  variants: z.array(variantSchema).min(2).max(EXPERIMENT_LIMITS.variants).meta({ description: 'The first is the control: the others are compared with it' }),
  audience: z.number().gt(0).max(1).default(1).meta({ description: 'Share of the users that take part' }),
  starts_at: time.exactOptional().meta({ description: 'Inclusive; absent: from the start on' }),
  ends_at: time.exactOptional().meta({ description: 'Exclusive; absent: until it is stopped' }),
  conversion_days: z.int().min(1).max(EXPERIMENT_LIMITS.conversionDays).default(7).meta({ description: 'A purchase counts so many days after the first list' }),
};

interface Checked { readonly variants: readonly { readonly key: string }[]; readonly starts_at?: string; readonly ends_at?: string }
function checkExperiment({ variants, starts_at: starts, ends_at: ends }: Checked, ctx: z.RefinementCtx): void {
  const seen = new Set<string>();
  for (const [at, variant] of variants.entries()) {
    if (seen.has(variant.key)) ctx.addIssue({ code: 'custom', path: ['variants', at, 'key'], message: 'is the key of another variant already' });
    seen.add(variant.key);
  }
  if (starts !== undefined && ends !== undefined && Date.parse(ends) <= Date.parse(starts)) ctx.addIssue({ code: 'custom', path: ['ends_at'], message: 'must be after starts_at' });
}

export const newExperimentSchema = z.strictObject({ key, ...fields }).superRefine(checkExperiment).meta({ id: 'NewExperiment' });
export type NewExperiment = z.output<typeof newExperimentSchema>;
export const experimentBodySchema = z.strictObject(fields).superRefine(checkExperiment).meta({ id: 'ExperimentBody' });

export const experimentStatuses = ['draft', 'running', 'stopped'] as const;
export const experimentSchema = z
  .object({
    key: z.string(), description: z.string(), status: z.enum(experimentStatuses).meta({ description: 'running: its users see their variants from starts_at to ends_at' }),
    variants: z.array(variantSchema), audience: z.number(), conversion_days: z.int(),
    starts_at: z.string().nullable(), ends_at: z.string().nullable(), created_at: z.string(), started_at: z.string().nullable(), stopped_at: z.string().nullable(),
  })
  .meta({ id: 'Experiment' });
export type Experiment = z.output<typeof experimentSchema>;

const interval = z.object({ low: z.number(), high: z.number() }).meta({ description: '95 % interval' });
const rate = z.object({ value: z.number(), interval }).nullable();
const difference = z.object({ value: z.number().meta({ description: 'Rate of the variant less that of the control' }), interval, excludes_zero: z.boolean() }).nullable().meta({ description: 'null: the control itself, or too little is known' });
export const experimentResultsSchema = z
  .object({
    key: z.string(), status: z.enum(experimentStatuses), as_of: z.string(),
    final: z.boolean().meta({ description: 'true: stopped or ended, and the time for purchases is over. Before that the figures still move, and looking often finds differences that are none' }),
    variants: z.array(z.object({
      key: z.string(), weight: z.int(),
      users: z.int().meta({ description: 'Users who were given a list' }), open_users: z.int().meta({ description: 'Of these: those whose time for a purchase is not over' }),
      lists: z.int(), lists_seen: z.int().meta({ description: 'Lists with an impression (POST /api/impressions)' }), lists_clicked: z.int().meta({ description: 'Of these: those with a click under their ranking_id' }),
      click_rate: rate.meta({ description: 'lists_clicked / lists_seen, by an interval that allows for several lists of one user' }), click_rate_difference: difference,
      buyers: z.int().meta({ description: 'Users who bought something within conversion_days after their first list' }), conversion: rate.meta({ description: 'buyers / users' }), conversion_difference: difference,
    })),
    sample_ratio: z.object({ chi_square: z.number(), p_value: z.number(), mismatch: z.boolean().meta({ description: 'true (p below 0.001): users are not divided as the weights say. Find out why before you believe a difference' }) }).nullable(),
    sample_size: z.object({ conversion: z.int().nullable(), relative_change: z.number() }).meta({ description: 'Users that each variant needs for a change of the conversion by so much to be found in 80 of 100 cases; null: nobody has bought yet' }),
    notes: z.array(z.string()).meta({ description: 'What to bear in mind, in plain words' }),
  })
  .meta({ id: 'ExperimentResults' });
export type ExperimentResults = z.output<typeof experimentResultsSchema>;

const params = z.strictObject({ key });
const bodyExample = { description: 'Twice as strong a boost of the categories just looked at', variants: [{ key: 'control', weight: 1, settings: {} }, { key: 'strong-boost', weight: 1, settings: { category_boost: 1.2 } }], audience: 0.5, conversion_days: 7 };
const example = {
  key: 'category-boost', ...bodyExample, status: 'running', starts_at: null, ends_at: null, created_at: '2026-11-01T08:00:00.000Z', started_at: '2026-11-02T08:00:00.000Z', stopped_at: null,
} satisfies Experiment;
const one = (description: string) => ({ 200: { description, schema: experimentSchema, example } });
const live = 'In force on the answering instance at once, on all others within a second.';

export const listExperiments = defineOperation({
  ...common, operationId: 'listExperiments', method: 'get', path: '/api/admin/experiments', summary: 'List experiments',
  query: z.strictObject({ status: z.enum(experimentStatuses).optional() }),
  responses: { 200: { description: 'The newest first', schema: z.object({ data: z.array(experimentSchema) }), example: { data: [example] } } },
});
export const createExperiment = defineOperation({
  ...common, operationId: 'createExperiment', method: 'post', path: '/api/admin/experiments', audited: true, summary: 'Create an experiment', description: 'As a draft: nobody sees it before it is started.',
  body: newExperimentSchema, bodyExample: { key: 'category-boost', ...bodyExample },
  responses: { 201: { description: 'Created', schema: experimentSchema, example: { ...example, status: 'draft' as const, started_at: null } } },
});
export const getExperiment = defineOperation({ ...common, operationId: 'getExperiment', method: 'get', path: '/api/admin/experiments/{key}', summary: 'Read an experiment', params, responses: one('The experiment') });
export const replaceExperiment = defineOperation({
  ...common, operationId: 'replaceExperiment', method: 'put', path: '/api/admin/experiments/{key}', audited: true, summary: 'Replace a draft', description: '409 once it was started: who sees what must not change.',
  params, body: experimentBodySchema, bodyExample, responses: one('The experiment as it is now'),
});
export const deleteExperiment = defineOperation({
  ...common, operationId: 'deleteExperiment', method: 'delete', path: '/api/admin/experiments/{key}', audited: true, summary: 'Delete an experiment with its log', description: '409 while it runs.', params,
  responses: { 204: { description: 'Deleted' } },
});
export const startExperiment = defineOperation({
  ...common, operationId: 'startExperiment', method: 'post', path: '/api/admin/experiments/{key}/start', audited: true, summary: 'Start an experiment',
  description: `${live} 409 where it was stopped, or where a running one turns the same knob for some of the same users. Safe to repeat.`, params, responses: one('It runs'),
});
export const stopExperiment = defineOperation({
  ...common, operationId: 'stopExperiment', method: 'post', path: '/api/admin/experiments/{key}/stop', audited: true, summary: 'Stop an experiment for good', description: `${live} Purchases count until their time is over. Safe to repeat.`, params, responses: one('It is stopped'),
});
export const getExperimentResults = defineOperation({
  ...common, operationId: 'getExperimentResults', method: 'get', path: '/api/admin/experiments/{key}/results', summary: 'What an experiment has shown', params, timeoutMs: 60_000,
  responses: {
    200: {
      description: 'By variant, with 95 % intervals', schema: experimentResultsSchema,
      example: {
        key: 'category-boost', status: 'running', as_of: '2026-11-09T08:00:00.000Z', final: false,
        variants: [
          { key: 'control', weight: 1, users: 5012, open_users: 812, lists: 20101, lists_seen: 18011, lists_clicked: 1621, click_rate: { value: 0.09, interval: { low: 0.0855, high: 0.0947 } }, click_rate_difference: null, buyers: 251, conversion: { value: 0.0501, interval: { low: 0.0444, high: 0.0565 } }, conversion_difference: null },
        ],
        sample_ratio: { chi_square: 0.014, p_value: 0.905, mismatch: false }, sample_size: { conversion: 29_782, relative_change: 0.1 }, notes: [],
      },
    },
  },
});

export const experimentOperations = [listExperiments, createExperiment, getExperiment, replaceExperiment, deleteExperiment, startExperiment, stopExperiment, getExperimentResults] as const;
