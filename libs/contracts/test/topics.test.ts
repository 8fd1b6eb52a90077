import { describe, expect, it } from '@jest/globals';
import { decodeEntry, encodeEvent } from '@millrace/bus';
import { z } from 'zod';
import * as contracts from '../src/index.ts';

const topicSchema = z.object({ name: z.string(), payloads: z.record(z.string(), z.unknown()), options: z.looseObject({}) });
const exported = Object.values(contracts).flatMap((value: unknown) => topicSchema.safeParse(value).data?.name ?? []);
const events = contracts.topics.flatMap(({ topic, events: described }) => Object.entries(described).map(([type, { example }]) => ({ topic, type, example, title: `${topic.name} ${type}` })));

describe('the catalogue of topics', () => {
  it('holds every topic that is exported, once', () => {
    expect(exported.length).toBeGreaterThan(0);
    expect(contracts.topics.map(({ topic }) => topic.name).toSorted()).toEqual(exported.toSorted());
  });
  it.each(contracts.topics.map((contract) => [contract.topic.name, contract] as const))('describes every type of event of %s, and no other', (_name, { topic, events: described }) => {
    expect(Object.keys(described).toSorted()).toEqual(Object.keys(topic.payloads).toSorted());
  });
  it.each(events)('has an example of $title that can be published and read', ({ topic, type, example }) => {
    expect(decodeEntry(topic, { id: '1-1', fields: encodeEvent(topic, { type, ...example }) })).toMatchObject({ kind: 'event', event: { type, ...example } });
  });
});
