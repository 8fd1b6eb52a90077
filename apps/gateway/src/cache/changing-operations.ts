import { adjustStock, createProduct, createRule, createSynonym, deleteProduct, deleteRule, deleteSynonym, patchProduct, replaceRule, replaceSynonym, setStock } from '@millrace/contracts';
import type { Operation } from '@millrace/contracts';
import { z } from 'zod';
import type { Answer, Call } from '../policy.ts';
import { tags } from './cached-operations.ts';
import { parseJson } from './parse-json.ts';

/** What a call may have changed. `answer` undefined: nobody knows how it ended. */
export type ChangedTags = (call: Call, answer: Answer | undefined) => readonly string[];

const withSku = z.looseObject({ sku: z.string() });

const inPath: ChangedTags = ({ req: { params } }) => (typeof params['sku'] === 'string' ? [tags.sku(params['sku'])] : []);

/** The sku of a new product is in its body only, which the gateway does not read. */
const inAnswer: ChangedTags = (_call, answer) => {
  const sku = answer?.status === 201 ? withSku.safeParse(parseJson(answer.body)).data?.sku : undefined;
  return sku === undefined ? [] : [tags.sku(sku)];
};

const allSearches: ChangedTags = () => [tags.store('search')];

const changes: readonly (readonly [Operation, ChangedTags])[] = [
  [createProduct, inAnswer],
  ...[patchProduct, deleteProduct, setStock, adjustStock].map((operation) => [operation, inPath] as const),
  ...[createSynonym, replaceSynonym, deleteSynonym, createRule, replaceRule, deleteRule].map((operation) => [operation, allSearches] as const),
];

/**
 * Writes whose effect their callers see in the next answer that they read through the gateway, by operationId. What other writes change (imports above all)
 * is seen as soon as the bus tells of it.
 */
export const changingOperations: ReadonlyMap<string, ChangedTags> = new Map(changes.map(([{ operationId }, changed]) => [operationId, changed]));
