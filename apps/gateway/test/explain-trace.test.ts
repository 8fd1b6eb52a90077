import { describe, expect, it } from '@jest/globals';
import { getTrace } from '@millrace/contracts';
import type { BusTrace, TraceBody } from '@millrace/contracts';
import { explainTrace } from '../src/explain-trace.ts';

type Parts = Pick<TraceBody, 'catalogue' | 'bus' | 'search' | 'vectors'>;
type State = BusTrace['streams'][number]['entries'][number]['groups'][number]['state'];

const row = { version: 14, content_version: 14, status: 'active' as const, deleted: false, updated_at: '2026-11-21T08:00:00.000000Z' };
const search = { index: 'products-1', version: 14, deleted: false, visible_version: 14, tracked_version: 14 };
const vectors = { collection: 'vectors-1', model: 'm1', version: 14, deleted: false, has_vector: true, embedded_at: '2026-11-21T08:00:00.000Z' };
const group = (name: string, state: State) => ({ group: name, state, consumer: state === 'unread' || state === 'acknowledged' ? null : 'worker-1', idle_ms: state === 'pending' ? 42_000 : null });
const busWith = (state: State): BusTrace => ({
  topic: 'product:updates', dead_letters: [],
  streams: [{ stream: 'product:updates', partition: 0, is_complete: true, entries: [{ id: '5-0', event_type: 'update', event_id: 'e', version: 14, timestamp: 't', groups: [group('es-sync-worker', state), group('embedding-worker', 'acknowledged')] }] }],
});
const found = <T>(value: T) => ({ error: null, found: value });
const parts = (more: Partial<Parts> = {}): Parts => ({ catalogue: found({ row, outbox: { waiting: [], published: null } }), bus: found(busWith('acknowledged')), search: found(search), vectors: found(vectors), ...more });
const behind = found({ ...search, version: 12, visible_version: 12 });
const second = (given: Parts): unknown[] => { const { findings, in_sync: inSync } = explainTrace(given); return [findings[1], inSync]; };

describe('what a trace tells', () => {
  it('that all is well', () => {
    expect(explainTrace(parts())).toEqual({ in_sync: true, findings: ['the catalogue has version 14 (active)', 'search has it at version 14', 'vectors have it at version 14, with a vector of model m1'] });
  });
  it('that a product without words has no vector, which is right', () => {
    expect(explainTrace(parts({ vectors: found({ ...vectors, has_vector: false }) }))).toMatchObject({ in_sync: true, findings: expect.arrayContaining(['vectors have it at version 14, without a vector: its text has no words']) });
  });
  it.each<[State, string]>([
    ['unread', 'search has it at version 12, behind version 14: es-sync-worker has not read entry 5-0 yet'],
    ['pending', 'search has it at version 12, behind version 14: worker-1 of es-sync-worker holds entry 5-0 since 42 s'],
    ['delayed', 'search has it at version 12, behind version 14: entry 5-0 failed in es-sync-worker and is put off, to be tried again'],
    ['acknowledged', 'search has it at version 12, behind version 14: es-sync-worker acknowledged entry 5-0 without effect: run `millrace verify --repair`'],
  ])('where a change waits: %s', (state, sentence) => {
    expect(second(parts({ search: behind, bus: found(busWith(state)) }))).toEqual([sentence, false]);
  });
  it('that it waits in the outbox, was parked, or is not on the stream any more', () => {
    const waiting = found({ row, outbox: { waiting: [{ event_type: 'update', version: 14, created_at: 't' }], published: null } });
    expect(second(parts({ search: behind, catalogue: waiting }))[0]).toContain('waits in the outbox');
    const letter = { id: 'product:updates~bare~es-sync-worker~7-0', topic: 'product:updates', partition: 0, group: 'es-sync-worker', reason: 'refused by the index', source_id: '5-0', consumer: 'c', attempts: 5, first_seen: 't', last_seen: 't', event_type: 'update', event_id: 'e', key: 'x' };
    expect(second(parts({ search: behind, bus: found({ ...busWith('acknowledged'), dead_letters: [letter] }) }))[0]).toContain('parked it: refused by the index');
    expect(second(parts({ search: behind, bus: found({ topic: 'product:updates', streams: [], dead_letters: [] }) }))[0]).toContain('not on the stream any more');
  });
  it('not that an older event was parked, where the last one was handled without effect', () => {
    const letter = { id: 'product:updates~bare~es-sync-worker~3-0', topic: 'product:updates', partition: 0, group: 'es-sync-worker', reason: 'refused by the index', source_id: '2-0', consumer: 'c', attempts: 5, first_seen: 't', last_seen: 't', event_type: 'update', event_id: 'older', key: 'x' };
    expect(second(parts({ search: behind, bus: found({ ...busWith('acknowledged'), dead_letters: [letter] }) }))[0]).toContain('acknowledged entry 5-0 without effect');
    expect(second(parts({ search: behind, bus: found({ topic: 'product:updates', streams: [], dead_letters: [letter] }) }))[0]).toContain('not on the stream any more');
  });
  it('that searches do not see yet what the index holds', () => {
    expect(second(parts({ search: found({ ...search, visible_version: 12 }) }))).toEqual(['search has it at version 14, but searches see version 12', false]);
    expect(second(parts({ search: found({ ...search, visible_version: null }) }))).toEqual(['search has it at version 14, but searches see nothing of it', false]);
    const gone = found({ row: { ...row, deleted: true, version: 15 }, outbox: { waiting: [], published: null } });
    expect(second(parts({ catalogue: gone, search: found({ ...search, version: 15, deleted: true, visible_version: 14 }) }))).toEqual(['search has a tombstone of version 15, but searches see version 14', false]);
  });
  it('that a store is ahead of a restored database', () => {
    expect(second(parts({ search: found({ ...search, version: 20 }) }))).toEqual([expect.stringContaining('run `millrace rebuild search`'), false]);
  });
  it('that deleted products, drafts and unknown skus are rightly not found, and wrongly found', () => {
    const gone = found({ row: { ...row, deleted: true, version: 15 }, outbox: { waiting: [], published: null } });
    const tombstone = { version: 15, deleted: true };
    expect(explainTrace(parts({ catalogue: gone, search: found({ ...search, ...tombstone, visible_version: null }), vectors: found({ ...vectors, version: null, has_vector: false }) }))).toMatchObject({
      in_sync: true, findings: ['the catalogue has version 15 (deleted)', 'search has a tombstone of version 15', 'vectors have nothing of it'],
    });
    expect(explainTrace(parts({ catalogue: gone })).in_sync).toBe(false);
    const unknown = found({ row: null, outbox: { waiting: [], published: null } });
    expect(explainTrace(parts({ catalogue: unknown, search: found({ ...search, version: null }), vectors: found({ ...vectors, ...tombstone }) }))).toMatchObject({ in_sync: true, findings: expect.arrayContaining(['the catalogue does not know this sku']) });
    expect(explainTrace(parts({ catalogue: unknown })).in_sync).toBe(false);
  });
  it('what could not be asked, without a verdict', () => {
    const away = { error: 'embedding-worker cannot be reached now', found: null };
    expect(explainTrace(parts({ vectors: away }))).toMatchObject({ in_sync: null, findings: expect.arrayContaining(['vectors: embedding-worker cannot be reached now']) });
    expect(explainTrace(parts({ catalogue: { error: 'catalog-api cannot be reached now', found: null } }))).toMatchObject({ in_sync: null });
    expect(second(parts({ search: behind, bus: { error: 'Redis does not answer', found: null } }))).toEqual([expect.stringContaining('the bus could not be asked'), false]);
  });
  it('is what the example in the API says', () => {
    const example: TraceBody = getTrace.responses[200].example;
    expect(explainTrace(example)).toEqual({ findings: example.findings, in_sync: example.in_sync });
  });
});
