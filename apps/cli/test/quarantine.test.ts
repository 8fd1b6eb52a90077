import { mkdtemp, readFile, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { getQuarantined } from '@millrace/contracts';
import { runCommand, startFakeGateway } from './fake-gateway.ts';
import type { Asked, FakeGateway, Said } from './fake-gateway.ts';

const detail = getQuarantined.responses[200].example;
const item = (n: number) => ({ ...detail, raw: undefined, id: String(n), reason: `bad \u001B[31mtype ${n}` });
const problem = { type: 'x', title: 'Invalid request', status: 400, code: 'invalid_request', detail: 'body /item/event_type: must be view or click', pointer: '/item/event_type' };
const TOTAL = 450;

/** A gateway with 450 events in quarantine, none of which is ever changed; those from 1000 on are not there, 7 is still invalid. */
function answer({ path, body }: Asked): Said {
  const [method = '', target = ''] = path.split(' ');
  const url = new URL(target, 'http://gateway');
  const sent = (body ?? {}) as { ids?: string[]; dry_run?: boolean; item?: { event_type?: string } };
  if (url.pathname === '/api/admin/quarantine') {
    const from = Number(url.searchParams.get('cursor') ?? 0);
    const to = Math.min(TOTAL, from + Number(url.searchParams.get('limit')));
    return { body: { data: Array.from({ length: to - from }, (_, n) => item(from + n + 1)), page: { next: to < TOTAL ? String(to) : null, limit: 1 } } };
  }
  if (method === 'PATCH' && sent.item?.event_type === 'hover') return { status: 400, body: problem };
  if (method !== 'POST') return { body: detail };
  const missing = (sent.ids ?? []).filter((id) => Number(id) >= 1_000);
  const still = (sent.ids ?? []).includes('7') && url.pathname.endsWith('/replay') ? 1 : 0;
  return { body: { count: (sent.ids?.length ?? 3) - missing.length - still, missing, dry_run: sent.dry_run, still_invalid: still, reasons: still === 0 ? [] : [{ id: '7', code: 'invalid_request', pointer: '/rating', reason: 'must be at most 5' }] } };
}

let gateway: FakeGateway;
let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'millrace-quarantine-'));
  gateway = await startFakeGateway(answer);
});
afterAll(() => gateway.close());
beforeEach(() => gateway.forget());

async function quarantine(...args: string[]): Promise<{ out: string; err: string }> {
  const { out, err, failure } = await runCommand(gateway.url, ['quarantine', ...args]);
  if (failure !== undefined) throw failure;
  return { out: out.join('\n'), err: err.join('\n') };
}
const bodies = () => gateway.asked.map(({ body }) => body);

describe('millrace quarantine', () => {
  it('lists events across pages, without control characters, and says that there are more', async () => {
    const { out, err } = await quarantine('list', '--limit', '300', '--code', 'invalid_request', '--user', '123');
    expect(out.split('\n')).toHaveLength(301);
    expect(out).toMatch(/^300 +2026-11-02T08:00:00.000Z +\/api\/events #7 +key_9fX2mQ0b +123 +54 +invalid_request +\/event_type bad {2}\[31mtype 300$/m);
    expect(err).toContain('more than these 300');
    expect(gateway.asked.map(({ path }) => path)).toEqual(['GET /api/admin/quarantine?code=invalid_request&user=123&limit=200', 'GET /api/admin/quarantine?code=invalid_request&user=123&limit=100&cursor=200']);
  });
  it('lists all of them for programs', async () => {
    expect(JSON.parse((await quarantine('list', '--json', '--limit', '1000')).out)).toHaveLength(TOTAL);
  });
  it('shows one, and writes the event to a file that only its owner reads', async () => {
    expect(JSON.parse((await quarantine('show', '1204')).out)).toEqual(detail);
    const file = join(directory, 'event.json');
    await quarantine('show', '1204', '--out', file);
    expect([JSON.parse(await readFile(file, 'utf8')), (await stat(file)).mode & 0o777]).toEqual([JSON.parse(detail.raw), 0o600]);
  });
  it.each([['{"asin":"A"}'], ['@']])('repairs one by %s', async (given) => {
    const file = join(directory, 'mended.json');
    await writeFile(file, '{"asin":"A"}');
    expect((await quarantine('repair', '1204', '--item', given === '@' ? `@${file}` : given)).out).toBe('1204 is valid now: replay it');
    expect(gateway.asked).toEqual([{ path: 'PATCH /api/admin/quarantine/1204', body: { item: { asin: 'A' } } }]);
  });
  it('passes on what is still wrong with a repaired one', async () => {
    await expect(quarantine('repair', '1', '--item', '{"event_type":"hover"}')).rejects.toMatchObject({ name: 'ProblemError', message: problem.detail });
  });
  it.each([
    ['by ids', ['replay', '1', '2'], { ids: ['1', '2'], dry_run: false }, 'replayed 2 events'],
    ['by a filter', ['replay', '--since', '2026-11-02T08:00:00Z', '--code', 'malformed_body'], { filter: { since: '2026-11-02T08:00:00Z', code: 'malformed_body' }, dry_run: false }, 'replayed 3 events'],
    ['all, in a dry run', ['replay', '--all', '--dry-run'], { filter: {}, dry_run: true }, 'dry run: would replay 3 events'],
    ['named ones for good', ['discard', '1'], { ids: ['1'], dry_run: false }, 'discarded 1 event'],
    ['all for good, once confirmed', ['discard', '--all', '--yes'], { filter: {}, dry_run: false }, 'discarded 3 events'],
    ['a filter for good, in a dry run', ['discard', '--user', 'u', '--dry-run'], { filter: { user: 'u' }, dry_run: true }, 'dry run: would discard 3 events'],
  ])('changes %s', async (_what, args, body, out) => {
    expect((await quarantine(...args)).out).toBe(out);
    expect(bodies()).toEqual([body]);
  });
  it('names thousands in several requests', async () => {
    expect((await quarantine('replay', ...Array.from({ length: 2_500 }, () => '5'))).out).toBe('replayed 2500 events');
    expect(bodies().map((body) => (body as { ids: string[] }).ids.length)).toEqual([1_000, 1_000, 500]);
  });
  it('fails where one stayed or is not there, after the others, and says why', async () => {
    await expect(quarantine('replay', '1', '7', '1001')).rejects.toMatchObject({ name: 'FailedError', message: 'replayed 1 event; 1 event still invalid; not there (any more): 1001\n7: /rating must be at most 5' });
    await expect(quarantine('discard', '1', '1001')).rejects.toMatchObject({ name: 'FailedError', message: 'discarded 1 event; not there (any more): 1001' });
  });
  it.each([[['--all']], [['--code', 'malformed_body']]])('discards nothing by %p without --yes, and tells how many it would be', async (args) => {
    await expect(quarantine('discard', ...args)).rejects.toMatchObject({ name: 'UsageError', message: 'this would discard 3 events for good: add --yes to do it' });
    expect(bodies()).toEqual([expect.objectContaining({ dry_run: true })]);
  });
  it.each([
    ['nothing chosen', ['replay'], /say which ones/],
    ['ids and a filter', ['discard', '1', '--user', 'u'], /only one of them/],
    ['a filter and --all', ['replay', '--all', '--code', 'x'], /only one of them/],
    ['an event that is no JSON', ['repair', '1', '--item', '{a:1}'], /--item is not a JSON object/],
    ['an event that is no object', ['repair', '1', '--item', '[]'], /--item is not a JSON object/],
    ['a file that is not there', ['repair', '1', '--item', '@/nowhere'], /\/nowhere is not a file/],
    ['a place that cannot be written', ['show', '1', '--out', '/nowhere/event.json'], /cannot be written/],
    ['a limit that is none', ['list', '--limit', 'many'], /--limit must be/],
  ])('refuses %s as wrong usage', async (_what, args, sentence) => {
    await expect(quarantine(...args)).rejects.toMatchObject({ name: 'UsageError', message: expect.stringMatching(sentence) });
    expect(gateway.asked.filter(({ path }) => !path.startsWith('GET'))).toEqual([]);
  });
  it.each([['an unknown option', ['list', '--grup', 'g']], ['no event', ['repair', '1']]])('refuses %s as wrong usage', async (_what, args) => {
    await expect(quarantine(...args)).rejects.toMatchObject({ name: 'CommanderError', exitCode: 1 });
  });
});
