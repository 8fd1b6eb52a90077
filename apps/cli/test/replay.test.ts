import { mkdtemp, readdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { ProblemError } from '@millrace/client/contract';
import { getProduct } from '@millrace/contracts';
import { describeWith, testServer } from '@millrace/testing';
import { parseTime } from '../src/replay/layouts.ts';
import { inOrder, paced } from '../src/replay/pace.ts';
import type { Ready } from '../src/replay/pace.ts';
import { checkOnly, replayEvents } from '../src/replay/replay-events.ts';
import { createSender } from '../src/replay/send-events.ts';
import { runCommand, startFakeGateway } from './fake-gateway.ts';
import type { Asked, FakeGateway, Said } from './fake-gateway.ts';

type Sent = Record<string, unknown>;
let gateway: FakeGateway;
let directory: string;
let refusals: Said[];
let answerFirst: (asked: Asked) => Said | undefined;
const eventsOf = (body: unknown): Sent[] => String(body).split('\n').map((line) => JSON.parse(line) as Sent);
const isGood = ({ event_type: type }: Sent): boolean => type !== 'hover';

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'millrace-replay-'));
  gateway = await startFakeGateway((asked) => {
    const { body } = asked;
    const refusal = answerFirst(asked) ?? refusals.shift();
    if (refusal) return refusal;
    const events = eventsOf(body);
    const results = events.map((event, index) => (isGood(event)
      ? { index, success: true, event_id: String(event['event_id']), context: event['user_id'] === 'now' ? 'live' : 'deferred' }
      : { index, success: false, code: 'invalid_request', pointer: '/event_type', detail: 'must be view or click' }));
    return { body: { accepted: events.filter(isGood).length, failed: events.filter((event) => !isGood(event)).length, results } };
  });
});
afterAll(() => gateway.close());
beforeEach(() => {
  refusals = [];
  answerFirst = () => undefined;
  gateway.forget();
});

async function file(name: string, content: string | Buffer): Promise<string> {
  const path = join(await mkdtemp(join(directory, 'f-')), name);
  await writeFile(path, content);
  return path;
}
const replay = (path: string, ...args: string[]) => runCommand(gateway.url, ['replay', path, ...args]);
const sent = (): Sent[] => gateway.asked.flatMap(({ body }) => eventsOf(body));
const view = (user: string, more: Sent = {}): string => JSON.stringify({ user_id: user, asin: 'A', event_type: 'view', ...more });
const unavailable = { type: 'x', title: 'Unavailable', status: 503, code: 'unavailable', detail: 'later' };

describe('millrace replay', () => {
  it('sends a file of events in lists, and tells what became of them', async () => {
    const { out, failure } = await replay(await file('e.ndjson', `${[1, 2, 3].map((n) => view(`u${n}`)).join('\n')}\n\n${view('now')}`), '--batch', '3');
    expect([failure, gateway.asked.map(({ path }) => path)]).toEqual([undefined, ['POST /api/events', 'POST /api/events']]);
    expect(sent().map((event) => event['user_id'])).toEqual(['u1', 'u2', 'u3', 'now']);
    expect(out).toEqual([expect.stringMatching(/^4 rows: 4 sent, 4 accepted \(1 live\), 0 failed in \d\.\d s \(\d+ events\/s\)$/)]);
  });
  it('gives the same line of the same file the same event id, another line another one, and keeps ids that are there', async () => {
    const path = await file('e.jsonl', `${view('a')}\n${view('a')}\n${view('a', { event_id: 'own' })}`);
    await replay(path);
    await replay(path);
    const ids = sent().map((event) => event['event_id']);
    expect([ids.slice(0, 3), new Set(ids).size, ids[2]]).toEqual([ids.slice(3), 3, 'own']);
    expect(String(ids[0])).toMatch(/^r-[\w-]{22}$/);
  });
  it('names the lines that cannot be read and those that are refused, sends the others, and fails', async () => {
    const path = await file('e.ndjson', Buffer.concat([Buffer.from(`${view('a')}\n{"user_id":\n[1]\n`), Buffer.from([0x22, 0xff, 0x0a]), Buffer.from(`${JSON.stringify({ user_id: 1, asin: 'A', event_type: 'hover' })}\n${'x'.repeat(1_100_000)}\n${view('b')}`)]));
    const { out, err, failure } = await replay(path);
    expect(err.filter((line) => line.startsWith('line'))).toEqual(['line 2: is not valid JSON', 'line 3: is not a JSON object', 'line 4: is not UTF-8', 'line 6: is longer than 1048576 bytes', 'line 5: /event_type must be view or click']);
    expect([out[0], failure]).toMatchObject([expect.stringContaining('7 rows: 3 sent, 2 accepted (0 live), 5 failed'), { name: 'FailedError' }]);
    expect((await replay(path, '--max-errors', '1')).err).toContain('and 4 more bad events');
  });
  it('takes the fields from columns and texts, packed CSV too; other columns are metadata', async () => {
    const csv = 'customer,product,when,stars,page\nx 1,P-1,2026-11-02 08:00:00,4.5,\n"y,2",P-2,1793606400000,5,home\nz\n';
    const { err } = await replay(await file('log.csv.gz', gzipSync(csv)), '--map', 'user_id=customer', '--map', 'asin=product', '--map', 'timestamp=when', '--map', 'rating=stars', '--map', 'event_type==rate');
    expect(sent()).toEqual([
      { user_id: 'x 1', asin: 'P-1', timestamp: Date.UTC(2026, 10, 2, 8), rating: 4.5, event_type: 'rate', event_id: expect.any(String) },
      { user_id: 'y,2', asin: 'P-2', timestamp: 1_793_606_400_000, rating: 5, event_type: 'rate', event_id: expect.any(String), metadata: { page: 'home' } },
    ]);
    expect(err).toContain('line 4: has 1 fields where the header has 5');
  });
  it('reads CSV in the encoding that is named, and names the lines that are of another one', async () => {
    const path = await file('log.csv', Buffer.concat([Buffer.from('\uFEFFuser_id;asin;event_type;page\na;A;view;x\nb;A;view;'), Buffer.from([0xa3]), Buffer.from('9\n')]));
    expect((await replay(path, '--delimiter', ';')).err).toContain('line 3: has bytes that are not of the encoding of the file: name it, such as --encoding windows-1252');
    expect(sent().map((event) => event['user_id'])).toEqual(['a']);
    const other = await file('log.csv', Buffer.concat([Buffer.from('user_id,asin,event_type,page\nb,A,view,'), Buffer.from([0xa3]), Buffer.from('9\n')]));
    gateway.forget();
    await replay(other, '--encoding', 'windows-1252');
    expect(sent()).toMatchObject([{ user_id: 'b', metadata: { page: '£9' } }]);
  });
  it('reads online-retail: purchases of known customers, no returns', async () => {
    const csv = 'InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n'
      + 'A1,X9,CUP,6,12/1/2010 8:26,2.55,17850.0,France\nA1,X9,CUP,6,2010-12-01 08:26:00,2.55,17850,France\nC2,X9,CUP,-1,12/1/2010 9:41,2.55,17850,France\nA3,X9,CUP,1,12/1/2010 9:42,2.55,,France\nA4,X9,CUP,1,soon,2.55,1,France\n';
    const { out, err } = await replay(await file('retail.csv', csv));
    const purchase = { user_id: '17850', asin: 'X9', event_type: 'purchase', event_id: expect.any(String), timestamp: Date.UTC(2010, 11, 1, 8, 26), metadata: { order: 'A1', quantity: 6, price: 2.55, country: 'France' } };
    expect(sent()).toEqual([purchase, purchase]);
    expect(err).toContain('line 6: /InvoiceDate is not a time such as 2010-12-01 08:26:00');
    expect(out[0]).toContain('1 failed, skipped 1 returned or no quantity, 1 no customer');
  });
  it('imports the products that online-retail names and the catalogue does not have, and leaves the others as they are', async () => {
    const path = await file('retail.csv', 'InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\nA1,X9,CUP,6,12/1/2010 8:26,2.56,1,F\nA2,X9,,1,12/1/2010 8:27,0,1,F\nA3,K1,KNOWN,1,12/1/2010 8:28,1,1,F\nA4,a/b,NO SKU,1,12/1/2010 8:28,1,1,F\n');
    const report = { type: 'report', rows: 1, created: 1, updated: 0, unchanged: 0, failed: 0, dry_run: false, atomic: false, committed: true, last_good_line: 1, error: null, seconds: 0.1 };
    const known: unknown = getProduct.responses[200].example;
    // Both are asked for at once: by their paths, not in their order.
    answerFirst = ({ path: asked }) => (asked.startsWith('POST /api/products/import') ? { body: report } : asked === 'GET /api/products/K1' ? { body: known } : asked.startsWith('GET') ? { status: 404, body: { ...unavailable, status: 404, code: 'not_found' } } : undefined);
    const { out } = await replay(path, '--products');
    expect(out).toEqual(['products: 1 created, 1 there already, 0 failed', expect.stringContaining('4 rows: 4 sent')]);
    expect(gateway.asked.find(({ path: asked }) => asked.startsWith('POST /api/products/import'))?.body).toBe('{"sku":"X9","name":"CUP","currency":"GBP","price":2.56}');
    expect((await replay(await file('e.ndjson', view('a')), '--products')).failure).toMatchObject({ name: 'UsageError', message: expect.stringContaining('online-retail') });
  });
  it('reads otto sessions: each an anonymous user', async () => {
    await replay(await file('s.jsonl', JSON.stringify({ session: 7, events: [{ aid: 11, ts: 1_659_304_800_025, type: 'clicks' }, { aid: 12, ts: 1_659_304_900_025, type: 'orders' }, { aid: 12, ts: 1_659_304_900_025, type: 'carts' }] })));
    expect(sent().map(({ user_id: user, asin, event_type: type, timestamp, session_id: session }) => [user, asin, type, timestamp, session])).toEqual([
      ['anon:otto-7', '11', 'click', 1_659_304_800_025, '7'], ['anon:otto-7', '12', 'purchase', 1_659_304_900_025, '7'], ['anon:otto-7', '12', 'add_to_cart', 1_659_304_900_025, '7'],
    ]);
    expect(new Set(sent().map((event) => event['event_id'])).size).toBe(3);
  });
  it('moves all times by the same span, so that the newest is now', async () => {
    const before = Date.now();
    await replay(await file('e.ndjson', [view('a', { timestamp: '2011-01-01T00:00:00Z' }), view('b', { metadata: { timestamp: '2011-01-01T01:00:00Z' } }), view('c')].join('\n')), '--shift-to-now');
    const [first, second, third] = sent().map((event) => event['timestamp']);
    expect([Number(second) - Number(first), third, Number(second) >= before && Number(second) <= Date.now()]).toEqual([3_600_000, undefined, true]);
  });
  it('waits where it is told to, and sends the same again', async () => {
    refusals = [{ status: 503, headers: { 'retry-after': '0' }, body: unavailable }, { status: 429, headers: { 'retry-after': '0' }, body: { ...unavailable, status: 429 } }];
    const { out, err, failure } = await replay(await file('e.ndjson', view('a')));
    expect([failure, out[0], err]).toEqual([undefined, expect.stringContaining('1 sent, 1 accepted'), ['waiting: later']]);
    expect(new Set(gateway.asked.map(({ body }) => body)).size).toBe(1);
  });
  it('ends at once where it may not, or nobody is there, and tells what was done', async () => {
    refusals = [{ status: 403, body: { ...unavailable, status: 403, code: 'forbidden', detail: 'lacks events:write' } }];
    const path = await file('e.ndjson', view('a'));
    expect(await replay(path)).toMatchObject({ out: [expect.stringContaining('0 sent')], failure: { name: 'ProblemError', message: 'lacks events:write' } });
    expect((await runCommand('http://127.0.0.1:1', ['replay', path])).failure).toMatchObject({ name: 'TransportError' });
  });
  it('gives up where waiting does not help', async () => {
    const upload = async () => { throw new ProblemError(unavailable, 0); };
    const send = createSender({ client: { upload }, signal: new AbortController().signal, say: () => undefined, giveUpAfterMs: 5 });
    await expect(send([{ line: 1, event: {}, atMs: undefined }])).rejects.toMatchObject({ name: 'FailedError', message: expect.stringContaining('gave up') });
  });
  it('sends nothing in a dry run, and checks as the service would', async () => {
    const { out, err, failure } = await runCommand('http://127.0.0.1:1', ['replay', await file('e.ndjson', `${view('a')}\n${view('b', { rating: 9 })}`), '--dry-run', '--speed', '1']);
    expect([out[0], err, failure]).toMatchObject([expect.stringContaining('dry run: 2 rows: 1 events would be sent, 1 failed'), [expect.stringMatching(/^line 2: \/rating /)], { name: 'FailedError' }]);
  });
  it('sends at most so many', async () => {
    const { out, failure } = await replay(await file('e.ndjson', Array.from({ length: 9 }, (_, n) => view(`u${n}`)).join('\n')), '--limit', '4', '--batch', '3');
    expect([failure, sent().length, out[0]]).toEqual([undefined, 4, expect.stringContaining('4 sent, 4 accepted')]);
  });
  it('sends what came before a file breaks off, and says so', async () => {
    const whole = gzipSync(Array.from({ length: 20_000 }, (_, n) => view(`user-${n}-${Math.sin(n)}`)).join('\n'));
    const { out, failure } = await replay(await file('cut.ndjson.gz', whole.subarray(0, whole.length / 2)));
    expect(failure).toMatchObject({ name: 'FailedError', message: expect.stringMatching(/breaks off after line \d+/) });
    expect([sent().length > 1_000, out[0]]).toEqual([true, expect.stringContaining('0 failed')]);
  });
  it.each([
    ['a speed that is none', ['--speed', 'fast'], /--speed must be max/], ['a speed of 0', ['--speed', '0'], /--speed/], ['a limit of 0', ['--limit', '0'], /--limit must be/], ['a batch of 10,001', ['--batch', '10001'], /--batch/],
    ['a mapping to an unknown field', ['--map', 'colour=x'], /--map colour=x is not/], ['a mapping without column', ['--map', 'asin='], /is not field=column/], ['a mapping of another layout', ['--layout', 'otto', '--map', 'asin=x'], /for the layout events/],
    ['an unknown encoding', ['--encoding', 'utf-9'], /--encoding utf-9 is not known/], ['an encoding of NDJSON', ['--encoding', 'latin1'], /is for CSV/], ['a long delimiter', ['--delimiter', '||'], /one character/],
  ])('refuses %s as wrong usage, and sends nothing', async (_what, args, sentence) => {
    expect((await replay(await file('e.ndjson', view('a')), ...args)).failure).toMatchObject({ name: 'UsageError', message: expect.stringMatching(sentence) });
    expect(gateway.asked).toEqual([]);
  });
  it.each([['/nowhere.csv', /is not a file/], [join(tmpdir(), 'x.txt'), /--format/]])('refuses the file %s as wrong usage', async (path, sentence) => {
    expect((await replay(path)).failure).toMatchObject({ name: 'UsageError', message: expect.stringMatching(sentence) });
  });
  it('refuses a mapping from a column that is not there, and a header that names one twice', async () => {
    expect((await replay(await file('a.csv', 'a,b\n1,2\n'), '--map', 'user_id=c')).failure).toMatchObject({ name: 'UsageError', message: 'the file has no column c: it has a, b' });
    expect((await replay(await file('a.csv', 'a,a\n1,2\n'))).failure).toMatchObject({ name: 'UsageError', message: expect.stringContaining('names the column a twice') });
    expect(gateway.asked).toEqual([]);
  });
  it('gives up in bounded memory where a file is no CSV at all', async () => {
    const { failure } = await replay(await file('e.csv.gz', gzipSync(`user_id,asin\n${'x"y"z,1\n'.repeat(20_000)}`)), '--map', 'event_type==view');
    expect([failure, gateway.asked]).toMatchObject([{ message: expect.stringMatching(/10000 rows one after the other are not valid CSV/) }, []]);
  });
  it('refuses what is no Parquet as wrong usage', async () => {
    expect((await replay(await file('e.parquet', 'nothing of that kind'))).failure).toMatchObject({ name: 'UsageError', message: expect.stringContaining('is not a Parquet file') });
  });
});

const at = (ms: number): Ready => ({ line: ms, atMs: ms, event: {} });
async function* from(times: readonly number[]): AsyncGenerator<Ready> {
  for (const time of times) yield at(time);
}

describe('the pace of a replay', () => {
  const options = { format: 'ndjson', encoding: 'utf-8', delimiter: ',', layout: undefined, mappings: [], isTable: false, limit: Infinity, shiftToNow: false, batch: 2 } as const;
  it('brings events into the order of their times, within bounded memory', async () => {
    const times: unknown[] = [];
    for await (const { atMs } of inOrder(from([5, 1, 4, 2, 9, 3, 8, 7]), 4)) times.push(atMs);
    expect(times).toEqual([1, 2, 3, 4, 5, 7, 8, 9]);
  });
  it('sends an event when it is due: at 60 a minute of the file takes a second', async () => {
    let now = 0;
    const sentAt: [number, number[]][] = [];
    const signal = new AbortController().signal;
    for await (const batch of paced(from([0, 1_000, 60_000, 120_000, 120_500]), { speed: 60, batch: 100, signal, nowMs: () => now, wait: async (ms) => { now += ms; } })) sentAt.push([Math.round(now), batch.map(({ atMs }) => atMs ?? 0)]);
    expect(sentAt).toEqual([[0, [0, 1_000]], [1_000, [60_000]], [2_000, [120_000, 120_500]]]);
  });
  it('ends after the request in hand when it is interrupted, and tells what was sent', async () => {
    const path = await file('e.ndjson', Array.from({ length: 50 }, (_, n) => view(`u${n}`, { timestamp: Date.UTC(2026, 0, 1, n) })).join('\n'));
    for (const speed of [Infinity, 1]) {
      const stopper = new AbortController();
      const summary = await replayEvents(path, { ...options, speed }, { signal: stopper.signal, onProblem: () => undefined, onProgress: () => undefined, send: async (batch) => (stopper.abort(), checkOnly(batch)) });
      expect([summary.isAborted, summary.sent <= 2, summary.accepted === summary.sent, summary.failure]).toEqual([true, true, true, undefined]);
    }
  });
  it.each([
    ['2026-11-02T08:00:00Z', Date.UTC(2026, 10, 2, 8)], ['2026-11-02T08:00:00+01:00', Date.UTC(2026, 10, 2, 7)], ['2026-11-02 08:00', Date.UTC(2026, 10, 2, 8)], ['2/3/2011 4:05:06', Date.UTC(2011, 1, 3, 4, 5, 6)],
    ['1793606400000', 1_793_606_400_000], [5, 5], ['yesterday', undefined], ['13/13/2011 4:05', undefined], [1.5, undefined], [null, undefined], ['2026-11-02', undefined],
  ])('reads the time %p', (given, ms) => {
    expect(parseTime(given)).toBe(ms);
  });
});

describeWith('shared', 'millrace replay of real files', () => {
  const data = (name: string): string => join(testServer('shared'), 'data', name);
  it('sends every event of the otto sessions, in the order of their times', async () => {
    const { failure, out } = await replay(data('otto-sessions/sessions.jsonl'), '--speed', '1000000000');
    const times = sent().map((event) => Number(event['timestamp']));
    expect([failure, out[0], times]).toEqual([undefined, expect.stringContaining('20 rows: 862 sent, 862 accepted'), times.toSorted((a, b) => a - b)]);
  });
  it('sends purchases of online-retail out of its Parquet file', async () => {
    const folder = await readdir(data('online-retail'));
    const { failure, out } = await replay(data(`online-retail/${folder.find((name) => name.endsWith('.parquet')) ?? ''}`), '--limit', '3000', '--batch', '3000');
    expect([failure, out[0], new Set(sent().map((event) => event['event_type']))]).toEqual([undefined, expect.stringContaining('3000 sent, 3000 accepted'), new Set(['purchase'])]);
    expect(sent()[0]).toMatchObject({ user_id: expect.stringMatching(/^\d{5}$/), timestamp: Date.UTC(2010, 11, 1, 8, 26), metadata: { quantity: 6 } });
  });
});
