import type { LogOf } from '@millrace/bus/engine';
import { z } from 'zod';
import { stateSubject } from './names.ts';
import type { State } from './state.ts';

const SEEN_EVERY_MS = 10_000;

/** Notes at most every 10 s that this consumer is there. Only listings show it. */
export function createSightings(state: State, { topic, group, consumer }: LogOf): () => void {
  let seenAt = 0;
  return () => {
    if (Date.now() - seenAt < SEEN_EVERY_MS) return;
    seenAt = Date.now();
    state.set(stateSubject('seen', topic.name, group, consumer), { consumer }).catch(() => undefined);
  };
}

/** Sightings of consumers that are gone: with names of their own for each start there would be ever more of them. */
export async function forgetUnseen(state: State, { topic, group }: LogOf, idleMs: number): Promise<number> {
  let forgotten = 0;
  for (const subject of await state.list(stateSubject('seen', topic.name, group, '*'))) {
    const sighting = await state.get(subject, z.unknown());
    if (sighting === undefined || Date.now() - sighting.atUs / 1_000 < idleMs) continue;
    await state.remove(subject);
    forgotten += 1;
  }
  return forgotten;
}

