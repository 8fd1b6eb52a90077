import { mkdtemp, readFile, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { formatAge, renderTable } from '../src/table.ts';
import { runCommand, startFakeGateway } from './fake-gateway.ts';
import type { FakeGateway } from './fake-gateway.ts';

const letter = (n: number) => ({
  id: `orders~bare~g~${n}-0`, topic: 'orders', partition: 0, group: 'g', reason: `bad \u001B[31mprice ${n}`, source_id: `${n}-0`, consumer: 'c', attempts: 5,
  first_seen: '2026-11-02T08:00:00.000Z', last_seen: '2026-11-02T08:00:01.000Z', event_type: 'placed', event_id: `e${n}`, key: `o${n}`,
});
const detail = { ...letter(1), fields: { event_type: 'placed', data: '{"price":"free"}' } };
const group = { group: 'g', pending: 1, unread: 12, delayed: 1, oldest_age_ms: 5200, dead_letters: 3, bootstrap: 'done', holder: 'c', consumers: [{ consumer: 'c', pending: 1, idle_ms: 4 }] };
const stream = { stream: 'orders', partition: 0, is_draining: false, length: 2000, bytes: 10, first_id: '1-0', last_id: '2-0', groups: [group] };
const topics = [{ topic: 'orders', partitions: 1, streams: [stream, { ...stream, partition: 1, is_draining: true, groups: [] }] }];
const problem = { type: 'x', title: 'Conflict', status: 409, code: 'conflict', detail: 'the group used is in use' };
const TOTAL = 450;

/** A gateway with 450 letters, none of which is ever changed. */
function answer(url: URL, body: Record<string, unknown>): { status?: number; body: unknown } {
  const path = url.pathname.replace('/api/admin', '');
  if (path === '/streams') return { body: { topics } };
  if (path.startsWith('/streams/groups/used')) return { status: 409, body: problem };
  if (path.startsWith('/streams/groups/')) return { body: { dropped: [{ topic: 'orders', group: 'g', pending: 1, unread: 12 }] } };
  if (path.endsWith('/repartition')) return { body: { ...topics[0], partitions: body['partitions'] } };
  if (path === '/dead-letters') {
    const from = Number(url.searchParams.get('cursor') ?? 0);
    const to = Math.min(TOTAL, from + Number(url.searchParams.get('limit')));
    return { body: { data: Array.from({ length: to - from }, (_, n) => letter(from + n)), page: { next: to < TOTAL ? String(to) : null, limit: 1 } } };
  }
  if (path.endsWith('/replay') || path.endsWith('/discard')) {
    const ids = Array.isArray(body['ids']) ? body['ids'].map(String) : undefined;
    const missing = (ids ?? []).filter((id) => id.includes('gone'));
    return { body: { count: (ids?.length ?? 3) - missing.length, missing, dry_run: body['dry_run'] } };
  }
  return { body: { ...detail, ...(body['data'] !== undefined && { id: 'orders~bare~g~9-0' }) } };
}

let gateway: FakeGateway;
let directory: string;
let requests: { method: string; path: string; body: Record<string, unknown> }[];
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'millrace-dlq-'));
  gateway = await startFakeGateway(({ path, body }) => {
    const [method = '', target = ''] = path.split(' ');
    const sent = (body ?? {}) as Record<string, unknown>;
    requests.push({ method, path: decodeURIComponent(target), body: sent });
    return answer(new URL(target, 'http://gateway'), sent);
  });
});
afterAll(() => gateway.close());
beforeEach(() => { requests = []; });

async function millrace(...args: string[]): Promise<{ out: string; err: string }> {
  const { out, err, failure } = await runCommand(gateway.url, args);
  if (failure !== undefined) throw failure;
  const text = (lines: readonly string[]): string => lines.map((line) => `${line}\n`).join('');
  return { out: text(out), err: text(err) };
}

describe('millrace streams', () => {
  it('shows one line a group, and a line for a partition without groups', async () => {
    expect((await millrace('streams')).out.split('\n').map((line) => line.split(/ {2,}/))).toEqual([
      ['TOPIC', 'PARTITION', 'LENGTH', 'GROUP', 'UNREAD', 'PENDING', 'DELAYED', 'DEAD', 'OLDEST', 'CONSUMERS', 'HOLDER'],
      ['orders', '0', '2000', 'g', '12', '1', '1', '3', '5.2 s', '1', 'c'],
      ['orders', '1 (draining)', '2000', '-', '0', '0', '0', '0', '-', '0', '-'],
      [''],
    ]);
  });
  it('prints everything as JSON', async () => {
    expect(JSON.parse((await millrace('streams', '--json')).out)).toEqual(topics);
  });
  it('drops a group with what it was told', async () => {
    expect((await millrace('streams', 'groups', 'drop', 'a/b', '--topic', 'orders', '--force', '--dry-run')).out).toBe('dry run: would drop g of orders: 12 unread, 1 pending\n');
    expect(requests).toEqual([{ method: 'DELETE', path: '/api/admin/streams/groups/a/b?topic=orders&force=true&dry_run=true', body: {} }]);
  });
  it('passes on why a group cannot be dropped', async () => {
    await expect(millrace('streams', 'groups', 'drop', 'used')).rejects.toMatchObject({ name: 'ProblemError', message: 'the group used is in use' });
  });
  it('gives a topic partitions and tells what is being finished', async () => {
    expect((await millrace('streams', 'repartition', 'orders', '4')).out).toBe('orders has 4 partitions; 1 old one is being finished first\n');
    expect(requests).toEqual([{ method: 'POST', path: '/api/admin/streams/orders/repartition', body: { partitions: 4 } }]);
  });
});

describe('millrace dlq', () => {
  it('lists letters across pages, without control characters, and says that there are more', async () => {
    const { out, err } = await millrace('dlq', 'list', '--limit', '300', '--group', 'g');
    expect(out.trimEnd().split('\n')).toHaveLength(301);
    expect(out).toMatch(/^orders~bare~g~299-0 +o299 +placed +5 +2026-11-02T08:00:01.000Z +bad {2}\[31mprice 299$/m);
    expect(err).toContain('more than these 300');
    expect(requests.map(({ path }) => path)).toEqual(['/api/admin/dead-letters?group=g&limit=200', '/api/admin/dead-letters?group=g&limit=100&cursor=200']);
  });
  it('lists all of them for programs', async () => {
    const { out, err } = await millrace('dlq', 'list', '--json', '--limit', '1000');
    expect([JSON.parse(out), err]).toEqual([Array.from({ length: TOTAL }, (_, n) => letter(n)), '']);
  });
  it('shows one, and writes its data to a file that only its owner reads', async () => {
    expect(JSON.parse((await millrace('dlq', 'show', detail.id)).out)).toEqual(detail);
    const file = join(directory, 'data.json');
    await millrace('dlq', 'show', detail.id, '--out', file);
    expect([await readFile(file, 'utf8'), (await stat(file)).mode & 0o777]).toEqual(['{\n  "price": "free"\n}\n', 0o600]);
  });
  it.each([['{"price":7}'], ['@']])('replaces the data by %s', async (given) => {
    const file = join(directory, 'mended.json');
    await writeFile(file, '{"price":7}');
    expect((await millrace('dlq', 'edit', detail.id, '--data', given === '@' ? `@${file}` : given)).out).toContain('orders~bare~g~9-0');
    expect(requests).toEqual([{ method: 'PATCH', path: `/api/admin/dead-letters/${detail.id}`, body: { data: { price: 7 } } }]);
  });
  it.each([
    ['by ids', ['replay', 'a', 'b'], { ids: ['a', 'b'], dry_run: false }, 'replayed 2 dead letters\n'],
    ['by a filter', ['replay', '--reason', 'price', '--since', '2026-11-02T08:00:00Z'], { filter: { reason: 'price', since: '2026-11-02T08:00:00Z' }, dry_run: false }, 'replayed 3 dead letters\n'],
    ['all, in a dry run', ['replay', '--all', '--dry-run'], { filter: {}, dry_run: true }, 'dry run: would replay 3 dead letters\n'],
    ['named ones for good', ['discard', 'a'], { ids: ['a'], dry_run: false }, 'discarded 1 dead letter\n'],
    ['all for good, once confirmed', ['discard', '--all', '--yes'], { filter: {}, dry_run: false }, 'discarded 3 dead letters\n'],
    ['a filter for good, in a dry run', ['discard', '--key', 'o1', '--dry-run'], { filter: { key: 'o1' }, dry_run: true }, 'dry run: would discard 3 dead letters\n'],
  ])('changes %s', async (_what, args, body, out) => {
    expect((await millrace('dlq', ...args)).out).toBe(out);
    expect(requests.map((request) => request.body)).toEqual([body]);
  });
  it('names thousands of letters in several requests', async () => {
    const ids = Array.from({ length: 2_500 }, (_, n) => `id${n}`);
    expect((await millrace('dlq', 'replay', ...ids)).out).toBe('replayed 2500 dead letters\n');
    expect(requests.map(({ body }) => (body['ids'] as string[]).length)).toEqual([1_000, 1_000, 500]);
  });
  it('fails where a named one is not there, after the others', async () => {
    await expect(millrace('dlq', 'replay', 'a', 'gone-1')).rejects.toMatchObject({ name: 'FailedError', message: 'replayed 1 dead letter; not there (any more): gone-1' });
  });
  it.each([[['--all']], [['--group', 'g']]])('discards nothing by %p without --yes, and tells how many it would be', async (args) => {
    await expect(millrace('dlq', 'discard', ...args)).rejects.toMatchObject({ name: 'UsageError', message: 'this would discard 3 dead letters for good: add --yes to do it' });
    expect(requests.map(({ body }) => body['dry_run'])).toEqual([true]);
  });
  it.each([
    ['nothing chosen', ['dlq', 'replay'], /say which ones/],
    ['a dry run of nothing', ['dlq', 'discard', '--dry-run', '--yes'], /say which ones/],
    ['ids and a filter', ['dlq', 'discard', 'a', '--group', 'g'], /only one of them/],
    ['a filter and --all', ['dlq', 'replay', '--all', '--key', 'x'], /only one of them/],
    ['data that is no JSON', ['dlq', 'edit', 'a', '--data', '{price:1}'], /--data is not JSON/],
    ['a file that is not there', ['dlq', 'edit', 'a', '--data', '@/nowhere'], /\/nowhere is not a file/],
    ['a place that cannot be written', ['dlq', 'show', 'a', '--out', '/nowhere/data.json'], /cannot be written/],
    ['a limit that is none', ['dlq', 'list', '--limit', 'many'], /--limit must be/],
    ['no number of partitions', ['streams', 'repartition', 'orders', '4.5'], /whole number from 1 to 256/],
  ])('refuses %s as wrong usage', async (_what, args, sentence) => {
    await expect(millrace(...args)).rejects.toMatchObject({ name: 'UsageError', message: expect.stringMatching(sentence) });
    expect(requests.filter(({ method }) => method !== 'GET')).toEqual([]);
  });
  it.each([
    ['an unknown option', ['dlq', 'list', '--grup', 'g']],
    ['no data', ['dlq', 'edit', 'a']],
    ['an unknown word after streams', ['streams', 'drop']],
  ])('refuses %s as wrong usage', async (_what, args) => {
    await expect(millrace(...args)).rejects.toMatchObject({ name: 'CommanderError', exitCode: 1 });
  });
});

describe('tables', () => {
  it.each([[0, '-'], [40, '40 ms'], [1_500, '1.5 s'], [59_999, '59 s'], [90_000, '1.5 min'], [7_200_000, '2 h'], [900_000_000, '10 d']])('tells an age of %d ms as %s', (ms, text) => {
    expect(formatAge(ms)).toBe(text);
  });
  it('aligns numbers to the right, cuts long texts, and leaves no line breaks in a row', () => {
    const columns = [{ head: 'TEXT', of: ([text]: [string, number]) => text, maxLength: 6 }, { head: 'N', of: ([, n]: [string, number]) => n }];
    expect(renderTable(columns, [['a\nb', 5], ['abcdefgh', 1234]])).toBe('TEXT       N\na b        5\nabcde…  1234');
  });
});
