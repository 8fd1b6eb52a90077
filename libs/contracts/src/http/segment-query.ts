import { z } from 'zod';
import { NOT_STORABLE, isStorable } from '../json-limits.ts';

/** Fields of a subscriber's recommendation that hold text. They are compared whole, byte for byte. */
export const segmentTextFields = ['subscriber_type', 'service_type', 'cluster_group', 'bad_debt_risk', 'arpu_trend'] as const;
/** Fields that hold numbers. They are compared as IEEE 754 doubles. */
export const segmentNumberFields = ['advance_amount', 'revenue_per_advance', 'arpu_avg_6m', 'arpu_growth_rate', 'customer_value_score', 'advance_readiness_score', 'priority_score'] as const;
export type SegmentTextField = (typeof segmentTextFields)[number];
export type SegmentNumberField = (typeof segmentNumberFields)[number];
export type SegmentField = SegmentTextField | SegmentNumberField;

/** Bounds of one query. `depth` counts and, or, not and the condition itself. */
export const SEGMENT_QUERY_LIMITS = { depth: 8, conditions: 50, values: 500, textCharacters: 200 } as const;

const COMPARISONS = ['gte', 'gt', 'lte', 'lt'] as const;
export type SegmentComparison = (typeof COMPARISONS)[number];

export type TextCondition =
  | { readonly field: SegmentTextField; readonly op: 'eq'; readonly value: string }
  | { readonly field: SegmentTextField; readonly op: 'in'; readonly value: readonly string[] }
  | { readonly field: SegmentTextField; readonly op: 'is_null' };
export type NumberCondition =
  | { readonly field: SegmentNumberField; readonly op: 'eq' | SegmentComparison; readonly value: number }
  | { readonly field: SegmentNumberField; readonly op: 'in'; readonly value: readonly number[] }
  | { readonly field: SegmentNumberField; readonly op: 'between'; readonly value: readonly [least: number, most: number] }
  | { readonly field: SegmentNumberField; readonly op: 'is_null' };
export type SegmentCondition = TextCondition | NumberCondition;

/**
 * Which subscribers. As in SQL a comparison with an absent value is neither true nor false, and so is its `not`: who has no score is in
 * neither `score >= 70` nor `not (score >= 70)`. `is_null` is always true or false.
 */
export type SegmentQuery = { readonly and: readonly SegmentQuery[] } | { readonly or: readonly SegmentQuery[] } | { readonly not: SegmentQuery } | SegmentCondition;

interface Issue {
  readonly path: readonly (string | number)[];
  readonly message: string;
}
type Path = Issue['path'];

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> => typeof value === 'object' && value !== null && !Array.isArray(value);
const includes = (names: readonly string[], name: unknown): boolean => typeof name === 'string' && names.includes(name);
const listed = (names: readonly string[]): string => `${names.slice(0, -1).join(', ')} or ${names.at(-1) ?? ''}`;

const RISKS = ['LOW', 'MEDIUM', 'HIGH'];
const TEXT_OPS = ['eq', 'in', 'is_null'];
const NUMBER_OPS = ['eq', 'in', ...COMPARISONS, 'between', 'is_null'];

/** Why a single value is refused; undefined: it is not. */
function problemOfValue(field: string, value: unknown): string | undefined {
  if (includes(segmentNumberFields, field)) return typeof value === 'number' && Number.isFinite(value) ? undefined : 'must be a number';
  if (typeof value !== 'string') return 'must be a text';
  if (field === 'bad_debt_risk' && !RISKS.includes(value)) return `must be ${listed(RISKS)}`;
  if (value.length > SEGMENT_QUERY_LIMITS.textCharacters) return `must have at most ${SEGMENT_QUERY_LIMITS.textCharacters} characters`;
  return isStorable(value) ? undefined : NOT_STORABLE.error;
}

function* problemsOfList(field: string, list: readonly unknown[], path: Path): Generator<Issue> {
  for (const [at, value] of list.entries()) {
    const message = problemOfValue(field, value);
    if (message !== undefined) yield { path: [...path, at], message };
  }
}

function* problemsOfBetween(field: string, value: unknown, path: Path): Generator<Issue> {
  if (!Array.isArray(value) || value.length !== 2) {
    yield { path, message: 'must be a list of the least and the most value' };
    return;
  }
  const [least, most]: readonly unknown[] = value;
  yield* problemsOfList(field, [least, most], path);
  if (typeof least === 'number' && typeof most === 'number' && most < least) yield { path: [...path, 1], message: 'must not be less than the first value' };
}

function* problemsOfOperand(field: string, op: string, { value, isGiven }: { readonly value: unknown; readonly isGiven: boolean }, path: Path): Generator<Issue> {
  const at = [...path, 'value'];
  if (op === 'is_null') {
    if (isGiven) yield { path: at, message: 'is not for is_null, which takes no value' };
  } else if (!isGiven) yield { path: at, message: 'is required' };
  else if (op === 'between') yield* problemsOfBetween(field, value, at);
  else if (op === 'in') {
    if (!Array.isArray(value) || value.length === 0) yield { path: at, message: 'must be a list of at least one value' };
    else if (value.length <= SEGMENT_QUERY_LIMITS.values) yield* problemsOfList(field, value, at);
  } else {
    const message = problemOfValue(field, value);
    if (message !== undefined) yield { path: at, message };
  }
}

function* problemsOfCondition(condition: Readonly<Record<string, unknown>>, path: Path): Generator<Issue> {
  const { field, op, value, ...rest } = condition;
  for (const key of Object.keys(rest)) yield { path: [...path, key], message: 'is not known here' };
  const isNumber = includes(segmentNumberFields, field);
  if (typeof field !== 'string' || (!isNumber && !includes(segmentTextFields, field))) {
    yield { path: [...path, 'field'], message: `must be ${listed([...segmentTextFields, ...segmentNumberFields])}` };
    return;
  }
  const ops = isNumber ? NUMBER_OPS : TEXT_OPS;
  if (typeof op !== 'string' || !ops.includes(op)) yield { path: [...path, 'op'], message: `of ${field} must be ${listed(ops)}` };
  else yield* problemsOfOperand(field, op, { value, isGiven: 'value' in condition }, path);
}

interface Budget {
  conditions: number;
  values: number;
}

/** Below the deepest level nothing is looked at any more: its depth is the caller's choice. */
function* problemsOfNode(node: unknown, path: Path, depth: number, used: Budget): Generator<Issue> {
  if (depth > SEGMENT_QUERY_LIMITS.depth) yield { path, message: `is nested deeper than ${SEGMENT_QUERY_LIMITS.depth} levels` };
  else if (!isObject(node)) yield { path, message: 'must be an object: {"and": […]}, {"or": […]}, {"not": {…}} or a condition {"field", "op", "value"}' };
  else {
    const kind = (['and', 'or', 'not'] as const).find((key) => key in node);
    if (kind === undefined) {
      used.conditions += 1;
      used.values += Array.isArray(node['value']) ? node['value'].length : 1;
      if (used.conditions <= SEGMENT_QUERY_LIMITS.conditions && used.values <= SEGMENT_QUERY_LIMITS.values) yield* problemsOfCondition(node, path);
      return;
    }
    for (const key of Object.keys(node)) if (key !== kind) yield { path: [...path, key], message: `cannot stand beside ${kind}` };
    const inner = node[kind];
    if (kind === 'not') yield* problemsOfNode(inner, [...path, kind], depth + 1, used);
    else if (!Array.isArray(inner) || inner.length === 0) yield { path: [...path, kind], message: 'must be a list of at least one condition' };
    else if (inner.length > SEGMENT_QUERY_LIMITS.conditions) yield { path: [...path, kind], message: `must have at most ${SEGMENT_QUERY_LIMITS.conditions} conditions` };
    else for (const [at, child] of inner.entries()) yield* problemsOfNode(child, [...path, kind, at], depth + 1, used);
  }
}

const MAX_ISSUES = 20;
function addProblems(query: unknown, ctx: z.RefinementCtx): void {
  const used = { conditions: 0, values: 0 };
  let issues = 0;
  for (const { path, message } of problemsOfNode(query, [], 1, used)) {
    ctx.addIssue({ code: 'custom', path: [...path], message });
    issues += 1;
    if (issues === MAX_ISSUES) return;
  }
  if (used.conditions > SEGMENT_QUERY_LIMITS.conditions) ctx.addIssue({ code: 'custom', path: [], message: `has more than ${SEGMENT_QUERY_LIMITS.conditions} conditions` });
  if (used.values > SEGMENT_QUERY_LIMITS.values) ctx.addIssue({ code: 'custom', path: [], message: `has more than ${SEGMENT_QUERY_LIMITS.values} values` });
}

const node = { $ref: '#/components/schemas/SegmentQuery' };
const nodes = { type: 'array' as const, minItems: 1, maxItems: SEGMENT_QUERY_LIMITS.conditions, items: node };
const scalar = { anyOf: [{ type: 'string' as const }, { type: 'number' as const }] };
const shape = (properties: Readonly<Record<string, object>>, required: readonly string[]) => ({ type: 'object' as const, additionalProperties: false, properties: { ...properties }, required: [...required] });

/** As JSON Schema has it. */
const override = {
  oneOf: [
    shape({ and: nodes }, ['and']), shape({ or: nodes }, ['or']), shape({ not: node }, ['not']),
    shape({
      field: { type: 'string', enum: [...segmentTextFields, ...segmentNumberFields] }, op: { type: 'string', enum: NUMBER_OPS },
      value: { anyOf: [...scalar.anyOf, { type: 'array', minItems: 1, maxItems: SEGMENT_QUERY_LIMITS.values, items: scalar }], description: 'in: a list; between: [least, most], both included; is_null: none' },
    }, ['field', 'op']),
  ],
};

/** A query as it comes in. Every problem has its own pointer. */
export const segmentQuerySchema = z
  .custom<SegmentQuery>(() => true)
  .meta({ override })
  .superRefine(addProblems)
  .meta({
    id: 'SegmentQuery',
    description: `A condition, or and, or, not over others; at most ${SEGMENT_QUERY_LIMITS.depth} levels, ${SEGMENT_QUERY_LIMITS.conditions} conditions and ${SEGMENT_QUERY_LIMITS.values} values. Text fields take eq, in and is_null. As in SQL a comparison with an absent value is neither true nor false, and so is its not; is_null is one or the other.`,
  });
