import { maskIsdn } from '@millrace/subscribers';
import type { Pointer } from '@millrace/subscribers';
import { z } from 'zod';
import type { FoundSubscriber, Source } from './read-subscribers.ts';

// Answers are joined as text: the stored bodies are JSON already.

const PLAIN = /^[\x20\x21\x23-\x5b\x5d-\x7e]*$/;
const quote = (text: string): string => (PLAIN.test(text) ? `"${text}"` : JSON.stringify(text));
export const shownIsdn = (isdn: string, isUnmasked: boolean): string => quote(isUnmasked ? isdn : maskIsdn(isdn));

const RECOMMENDATION_AT = '"recommendation":'.length;
/** Stored JSON has a space after each colon of its own: this is found nowhere else. */
const PROFILE = ',"profile":';

/** Both parts of a body; `null` as text where there is none. */
export function partsOf(body: string): { readonly recommendation: string; readonly profile: string } {
  const at = body.indexOf(PROFILE);
  return { recommendation: body.slice(RECOMMENDATION_AT, at), profile: body.slice(at + PROFILE.length, -1) };
}

const value = z.number().nullable();
const monthsSchema = z.object({ from: z.string(), call: z.array(value), sms: z.array(value), data: z.array(value), total: z.array(value) });
const KINDS = ['call', 'sms', 'data', 'total'] as const;

const numberOf = (month: string): number => Number(month.slice(0, 4)) * 12 + Number(month.slice(5, 7)) - 1;
const nameOf = (month: number): string => `${Math.floor(month / 12)}-${String((month % 12) + 1).padStart(2, '0')}`;

/** The last `count` months up to the newest one that was loaded, oldest first; nulls where there is nothing. */
export function arpuText(stored: string | null, count: number, lastMonth: string | null): string {
  if (lastMonth === null) return '[]';
  const lists = stored === null ? undefined : monthsSchema.parse(JSON.parse(stored));
  const first = lists === undefined ? 0 : numberOf(lists.from);
  const last = numberOf(lastMonth);
  const rows = Array.from({ length: count }, (_none, at) => {
    const month = last - count + 1 + at;
    return `{"month":"${nameOf(month)}",${KINDS.map((kind) => `"${kind}":${lists?.[kind][month - first] ?? null}`).join(',')}}`;
  });
  return `[${rows.join(',')}]`;
}

const BLOCKS = { recommendation: 'recommendations', profile: 'profiles', arpu: 'arpu' } as const;
export type Block = keyof typeof BLOCKS;

const known = new WeakMap<Pointer, Map<string, string>>();

/** `{"recommendation":{"generation":8,…},…}`; remembered, because it is the same for all answers under a pointer. */
export function freshnessText(pointer: Pointer, source: Source, blocks: readonly Block[] = ['recommendation', 'profile', 'arpu']): string {
  const texts = known.get(pointer) ?? new Map<string, string>();
  known.set(pointer, texts);
  const key = `${source} ${blocks.join()}`;
  const found = texts.get(key);
  if (found !== undefined) return found;
  const text = JSON.stringify(Object.fromEntries(blocks.map((block) => [block, { generation: pointer[BLOCKS[block]], loaded_at: pointer.loaded_at[BLOCKS[block]], source }])));
  texts.set(key, text);
  return text;
}

/** One subscriber of a list: everything behind the brace that opens it. */
export const entryText = (isdn: string, { body, months }: FoundSubscriber, arpu: { readonly count: number; readonly lastMonth: string | null } | undefined): string =>
  arpu === undefined ? `"isdn":${isdn},${body}` : `"isdn":${isdn},${body.slice(0, -1)},"arpu":${arpuText(months, arpu.count, arpu.lastMonth)}}`;

/** From Postgres as soon as one of them is. */
export const sourceOf = (found: readonly (FoundSubscriber | undefined)[]): Source => (found.some((one) => one?.source === 'postgres') ? 'postgres' : 'redis');
