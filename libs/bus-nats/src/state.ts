import type { z } from 'zod';
import { isNotFound, isWrongSequence } from './connection.ts';
import type { Connection } from './connection.ts';
import { STATE } from './names.ts';

/** A value, the sequence of its last change, and when the server took it, microseconds. */
export interface Stored<T> {
  readonly value: T;
  readonly revision: number;
  readonly atUs: number;
}

/** Small values by subject, changed only by whoever has seen the last one (JetStream's expected last sequence of a subject). */
export interface State {
  get<T>(subject: string, schema: z.ZodType<T>): Promise<Stored<T> | undefined>;
  /** The new revision; undefined where somebody else has changed it meanwhile. `revision` 0: it must not be there. */
  put(subject: string, value: unknown, revision: number): Promise<number | undefined>;
  /** Whatever it was before. */
  set(subject: string, value: unknown): Promise<number>;
  remove(subject: string): Promise<void>;
  /** Subjects that have a value. */
  list(filter: string): Promise<readonly string[]>;
}

export function createState({ use }: Connection): State {
  const write = (subject: string, value: unknown, expected: number | undefined): Promise<number> =>
    use(async ({ js }) => (await js.publish(subject, JSON.stringify(value), expected === undefined ? {} : { expect: { lastSubjectSequence: expected } })).seq);
  return {
    async get(subject, schema) {
      try {
        const message = await use(({ jsm }) => jsm.streams.getMessage(STATE, { last_by_subj: subject }));
        return message === null ? undefined : { value: schema.parse(JSON.parse(new TextDecoder().decode(message.data))), revision: message.seq, atUs: message.time.getTime() * 1_000 };
      } catch (error) {
        if (isNotFound(error)) return undefined;
        throw error;
      }
    },
    async put(subject, value, revision) {
      try {
        return await write(subject, value, revision);
      } catch (error) {
        if (isWrongSequence(error)) return undefined;
        throw error;
      }
    },
    set: (subject, value) => write(subject, value, undefined),
    remove: (subject) => use(async ({ jsm }) => void (await jsm.streams.purge(STATE, { filter: subject }))),
    list: (filter) => use(async ({ jsm }) => Object.keys((await jsm.streams.info(STATE, { subjects_filter: filter })).state.subjects ?? {})),
  };
}
