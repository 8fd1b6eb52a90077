import { randomBytes } from 'node:crypto';
import { liveTypes } from '@millrace/contracts';
import type { Interaction, LiveType, SearchEvent } from '@millrace/contracts';
import { createPseudonym } from '@millrace/service';

/** An event as text, for those who may see user ids and for the others. */
export interface Frame {
  readonly place: number;
  readonly type: LiveType;
  readonly masked: string;
  readonly personal: string;
}

/** One server-sent event. */
export const frameText = (fields: { readonly id?: string; readonly event: string; readonly data: unknown }): string =>
  `${fields.id === undefined ? '' : `id: ${fields.id}\n`}event: ${fields.event}\ndata: ${JSON.stringify(fields.data)}\n\n`;

/** Every type that is asked for. */
export const toObject = (counts: ReadonlyMap<LiveType, number>, types: ReadonlySet<LiveType> | undefined): Record<string, number> =>
  Object.fromEntries(liveTypes.filter((type) => types?.has(type) ?? true).map((type) => [type, counts.get(type) ?? 0]));

/** What is sent of an event: nothing of what only the log needs. A user is a pseudonym of this process, which nobody can lead back; searches have one of the search log. */
export function createRenderer(): (event: Interaction | SearchEvent, id: string) => { masked: string; personal: string } {
  const pseudonym = createPseudonym(randomBytes(32).toString('hex'));
  return (event, id) => {
    if (event.type === 'executed') {
      const text = frameText({ id, event: 'search', data: { type: 'search', query: event.query, hits: event.hits, at: event.meta.timestamp, user: event.user } });
      return { masked: text, personal: text };
    }
    const data = (user: string) => ({ type: event.type, sku: event.asin, category: event.category, at: event.meta.timestamp, user });
    return { masked: frameText({ id, event: 'interaction', data: data(pseudonym(event.user_id)) }), personal: frameText({ id, event: 'interaction', data: data(event.user_id) }) };
  };
}

/** The newest frames; their places count up by one. */
export function createMemory(capacity: number) {
  const frames: (Frame | undefined)[] = [];
  let next = 1;
  return {
    get next() {
      return next;
    },
    add(frame: Frame): void {
      frames[frame.place % capacity] = frame;
      next = frame.place + 1;
    },
    /** undefined: some of them are forgotten. */
    after(place: number): readonly Frame[] | undefined {
      if (!(place >= 0 && place < next) || place < next - 1 - capacity) return undefined;
      return Array.from({ length: next - 1 - place }, (_none, at) => frames[(place + 1 + at) % capacity]).filter((frame) => frame !== undefined);
    },
  };
}
