import type { Document, Operation } from './document.ts';
import { compareSchemas } from './schemas.ts';
import type { Change, Comparison } from './schemas.ts';

interface Pair { readonly place: string; readonly old: Operation; readonly now: Operation }

const breaking = (place: string, text: string): Change => ({ isBreaking: true, text: `${place}: ${text}` });
const additive = (place: string, text: string): Change => ({ isBreaking: false, text: `${place}: ${text}` });

/** What two records have: only the old one, only the new one, both. */
function split<T>(old: Readonly<Record<string, T>>, now: Readonly<Record<string, T>>): { lost: string[]; added: string[]; both: (readonly [string, T, T])[] } {
  const both = Object.entries(old).flatMap(([key, before]) => {
    const after = now[key];
    return after === undefined ? [] : [[key, before, after] as const];
  });
  return { lost: Object.keys(old).filter((key) => !(key in now)), added: Object.keys(now).filter((key) => !(key in old)), both };
}

function compareParameters(comparison: Comparison, { place, old, now }: Pair): void {
  const byName = ({ parameters }: Operation) => Object.fromEntries(parameters.map((one) => [`${one.in} ${one.in === 'header' ? one.name.toLowerCase() : one.name}`, one]));
  const after = byName(now);
  const { lost, added, both } = split(byName(old), after);
  for (const name of lost) comparison.changes.push(breaking(`${place} ${name}`, 'is removed'));
  for (const name of added) comparison.changes.push(after[name]?.required === true ? breaking(`${place} ${name}`, 'is new and required') : additive(`${place} ${name}`, 'is new'));
  for (const [name, one, other] of both) {
    if (one.required !== other.required) comparison.changes.push(other.required ? breaking(`${place} ${name}`, 'is required now') : additive(`${place} ${name}`, 'is optional now'));
    compareSchemas(comparison, { direction: 'request', place: `${place} ${name}`, old: one.schema, now: other.schema });
  }
}

function compareBodies(comparison: Comparison, { place, old, now }: Pair): void {
  const body = `${place} body`;
  if (now.requestBody?.required === true && old.requestBody?.required !== true) comparison.changes.push(breaking(body, 'is required now'));
  else if (now.requestBody?.required !== true && old.requestBody?.required === true) comparison.changes.push(now.requestBody ? additive(body, 'is optional now') : breaking(body, 'is removed'));
  const { lost, added, both } = split(old.requestBody?.content ?? {}, now.requestBody?.content ?? {});
  if (now.requestBody) for (const type of lost) comparison.changes.push(breaking(body, `does not take ${type} any more`));
  if (old.requestBody) for (const type of added) comparison.changes.push(additive(body, `takes ${type} too`));
  for (const [type, one, other] of both) compareSchemas(comparison, { direction: 'request', place: type === 'application/json' ? body : `${body} ${type}`, old: one.schema, now: other.schema });
}

function compareResponses(comparison: Comparison, { place, old, now }: Pair): void {
  const { lost, added, both } = split(old.responses, now.responses);
  for (const status of lost) comparison.changes.push(breaking(`${place} ${status}`, 'is removed'));
  for (const status of added) comparison.changes.push(additive(`${place} ${status}`, 'is new'));
  for (const [status, one, other] of both) {
    const answer = `${place} ${status}`;
    for (const name of Object.keys(one.headers).filter((key) => !(key in other.headers))) comparison.changes.push(breaking(answer, `has no header ${name} any more`));
    const content = split(one.content, other.content);
    for (const type of content.lost) comparison.changes.push(breaking(answer, `is not ${type} any more`));
    for (const type of content.added) comparison.changes.push(additive(answer, `may be ${type} too`));
    for (const [type, before, after] of content.both) compareSchemas(comparison, { direction: 'answer', place: type === 'application/json' ? answer : `${answer} ${type}`, old: before.schema, now: after.schema });
  }
}

/** Scopes do not include each other: another one is a break for whoever has only the first. */
function compareRights(comparison: Comparison, { place, old, now }: Pair): void {
  const [scope, wanted] = [old['x-scope'], now['x-scope']];
  if (scope !== wanted) comparison.changes.push(wanted === undefined ? additive(place, `needs no scope now, was ${scope}`) : breaking(place, `needs the scope ${wanted} now, was ${scope ?? 'none'}`));
  const ways = ({ security }: Operation): string[] => security.map((way) => Object.keys(way).toSorted().join(' and ') || 'nobody in particular');
  const [before, after] = [ways(old), ways(now)];
  if (before.length === 0 && after.length > 0) comparison.changes.push(breaking(place, `needs ${after.join(' or ')} now`));
  else if (after.length > 0) for (const way of before.filter((one) => !after.includes(one))) comparison.changes.push(breaking(place, `cannot be called with ${way} any more`));
  for (const way of before.length > 0 ? after.filter((one) => !before.includes(one)) : []) comparison.changes.push(additive(place, `can be called with ${way} too`));
}

/** By method and path, whatever the path's parameters are called. */
const operationsOf = ({ paths }: Document): Record<string, Operation & { readonly path: string }> =>
  Object.fromEntries(Object.entries(paths).flatMap(([path, methods]) => Object.entries(methods).map(([method, operation]) => [`${method} ${path.replaceAll(/\{\w+\}/g, '{}')}`, { ...operation, path }])));

/**
 * What has changed for callers from one document to the next, in the order of the old one. Conservative: of two schemas that
 * cannot be ordered (patterns, formats, allOf), the new one counts as narrower. Descriptions and examples do not count.
 */
export function compareDocuments(from: Document, to: Document): readonly Change[] {
  const comparison: Comparison = { from, to, changes: [], seen: { request: new WeakMap(), answer: new WeakMap() } };
  const [old, now] = [operationsOf(from), operationsOf(to)];
  const { lost, added, both } = split(old, now);
  for (const key of lost) comparison.changes.push(breaking(old[key]?.operationId ?? key, 'is removed'));
  for (const key of added) comparison.changes.push(additive(now[key]?.operationId ?? key, 'is new'));
  for (const [, one, other] of both) {
    const pair = { place: one.operationId, old: one, now: other };
    if (one.operationId !== other.operationId) comparison.changes.push(additive(one.operationId, `is called ${other.operationId} now`));
    compareRights(comparison, pair);
    compareParameters(comparison, pair);
    compareBodies(comparison, pair);
    compareResponses(comparison, pair);
  }
  return [...new Map(comparison.changes.map((change) => [change.text, change])).values()];
}
