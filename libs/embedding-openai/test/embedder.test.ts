import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { EmbeddingUnavailableError } from '@millrace/embedding';
import { inspect } from 'node:util';
import { createOpenAiEmbedder } from '../src/index.ts';
import type { OpenAiEmbedderOptions } from '../src/index.ts';
import { retryAfterMs } from '../src/request.ts';
import { answerTo, problem, startOpenAiStub } from '../src/testing.ts';
import type { OpenAiStub, Reply } from '../src/testing.ts';

const apiKey = 'sk-test-4f9c2d71';
const limited = (headers: Record<string, string>): Reply => problem(429, { message: 'Rate limit reached', type: 'requests' }, headers);

describe('the embedder of an OpenAI-compatible service', () => {
  let stub: OpenAiStub;
  let events: string[];
  beforeEach(async () => {
    stub = await startOpenAiStub();
    events = [];
  });
  afterEach(() => stub.stop());

  const open = (over: Partial<OpenAiEmbedderOptions> = {}) =>
    createOpenAiEmbedder({ baseUrl: stub.url, apiKey, model: 'text-embedding-3-small', dimensions: 4, sendDimensions: true, timeoutMs: 2_000, onEvent: (event) => events.push(event.type), ...over });
  const failure = async (over: Partial<OpenAiEmbedderOptions> = {}, texts: readonly string[] = ['a']): Promise<EmbeddingUnavailableError> => {
    const error: unknown = await open(over)(texts).then(() => undefined, (reason: unknown) => reason);
    if (!(error instanceof EmbeddingUnavailableError)) throw new Error(`was not EmbeddingUnavailableError but ${String(error)}`);
    return error;
  };

  it('asks as the API documents it, with the key as a bearer token, and gives vectors of length 1', async () => {
    const [vector] = await open()(['abc']);
    expect(stub.seen).toEqual([{ path: '/v1/embeddings', headers: expect.objectContaining({ authorization: `Bearer ${apiKey}` }), body: { model: 'text-embedding-3-small', input: ['abc'], encoding_format: 'float', dimensions: 4 } }]);
    const length = Math.hypot(3, 1, 1, 1);
    expect([...(vector ?? [])]).toEqual([3, 1, 1, 1].map((value) => expect.closeTo(value / length, 6)));
  });

  it('asks for no dimensions where the model cannot be shortened, and sends no key where there is none', async () => {
    const { apiKey: _key, ...without } = { apiKey, baseUrl: stub.url, model: 'm', dimensions: 4, sendDimensions: false, timeoutMs: 2_000 };
    await createOpenAiEmbedder(without)(['abc']);
    expect(stub.seen[0]?.body.dimensions).toBeUndefined();
    expect(stub.seen[0]?.headers.authorization).toBeUndefined();
  });

  it('cuts a list into requests by number and by size, and a text that is too long, and keeps the order', async () => {
    const texts = ['a', 'bb', 'ccc', 'x'.repeat(60), 'dddd', ' '];
    const vectors = await open({ batchSize: 2, batchTokens: 15, maxInputTokens: 10 })(texts);
    expect(stub.seen.map(({ body }) => body.input)).toEqual([['a', 'bb'], ['ccc', 'x'.repeat(30)], ['dddd']]);
    const lengthOf = (vector: Float32Array | undefined): number | undefined => vector && Math.round((vector[0] ?? 0) / (vector[1] ?? 1));
    expect(vectors.map(lengthOf)).toEqual([1, 2, 3, 30, 4, undefined]);
  });

  it('cuts a text between characters, never inside one', async () => {
    await open({ maxInputTokens: 3 })(['ắắắắ', '😀😀😀']);
    expect(stub.seen[0]?.body.input).toEqual(['ắắắ', '😀😀']);
  });

  it('puts vectors where their index says, whatever order they come in', async () => {
    stub.replies = [({ input }) => ({ body: { data: input.map((text, index) => ({ index, embedding: [text.length, 0, 0, 0] })).toReversed() } })];
    stub.otherwise = (request) => answerTo(request);
    const embed = open();
    expect((await embed(['a', 'bb'])).map((vector) => vector?.[0])).toEqual([1, 1]);
    stub.replies = [() => ({ body: { data: [{ index: 1, embedding: [0, 1, 0, 0] }, { index: 0, embedding: [1, 0, 0, 0] }] } })];
    expect((await embed(['a', 'bb'])).map((vector) => [...(vector ?? [])])).toEqual([[1, 0, 0, 0], [0, 1, 0, 0]]);
  });

  it.each([
    { name: 'an index twice', reply: { body: { data: [{ index: 0, embedding: [1, 0, 0, 0] }, { index: 0, embedding: [1, 0, 0, 0] }] } } },
    { name: 'too few', reply: { body: { data: [{ index: 0, embedding: [1, 0, 0, 0] }] } } },
    { name: 'an index beyond the texts', reply: { body: { data: [{ index: 0, embedding: [1, 0, 0, 0] }, { index: 2, embedding: [1, 0, 0, 0] }] } } },
    { name: 'no list', reply: { body: { ok: true } } },
    { name: 'broken JSON', reply: { raw: '{"data": [' } },
    { name: 'a zero vector', reply: { body: { data: [{ index: 0, embedding: [0, 0, 0, 0] }, { index: 1, embedding: [1, 0, 0, 0] }] } } },
  ])('takes no answer with $name: it asks again, and says so when that does not help', async ({ reply }) => {
    stub.replies = [() => reply];
    expect(await open()(['a', 'bb'])).toHaveLength(2);
    expect(events).toEqual(['tried_again', 'answered']);
    stub.otherwise = () => reply;
    expect((await failure({ attempts: 2 }, ['a', 'bb'])).trouble).toBe('away');
  });

  it('refuses vectors of another dimension in a sentence that says what to set, and does not ask again', async () => {
    stub.otherwise = (request) => answerTo({ ...request, dimensions: 7 });
    const error = await failure();
    expect(error.message).toMatch(/answers with 7 dimensions, the vectors have 4: set VECTOR_DIMENSION to 7/);
    expect(error.trouble).toBe('refused');
    expect(stub.seen).toHaveLength(1);
  });

  it.each([
    { status: 401, trouble: 'refused', says: /OPENAI_API_KEY/ },
    { status: 403, trouble: 'refused', says: /OPENAI_API_KEY/ },
    { status: 404, trouble: 'refused', says: /OPENAI_EMBEDDING_MODEL/ },
  ])('says what to look at on $status, asks once, and shows no part of the key', async ({ status, trouble, says }) => {
    stub.otherwise = () => problem(status, { message: `Incorrect API key provided: ${apiKey}. sk-tes****2d71`, type: 'invalid_request_error' });
    const error = await failure();
    expect(error.message).toMatch(says);
    expect(error).toMatchObject({ trouble, code: 'unavailable' });
    expect(inspect(error, { depth: 9 })).not.toMatch(/4f9c2d71|2d71/);
    expect(stub.seen).toHaveLength(1);
  });

  it('waits as long as Retry-After says, and then goes on', async () => {
    stub.replies = [() => limited({ 'retry-after': '1' })];
    const startMs = performance.now();
    await open()(['a']);
    expect(performance.now() - startMs).toBeGreaterThanOrEqual(950);
    expect(events).toEqual(['tried_again', 'answered']);
  });

  it('does not wait for a Retry-After that is too far away, and says when there is use in asking again', async () => {
    stub.otherwise = () => limited({ 'retry-after': '3600' });
    expect(await failure({ maxWaitMs: 500 })).toMatchObject({ trouble: 'away', retryAfterMs: 3_600_000 });
    expect(stub.seen).toHaveLength(1);
  });

  it('says that the quota is used up, and does not ask again', async () => {
    stub.otherwise = () => problem(429, { message: 'You exceeded your current quota', type: 'insufficient_quota', code: 'insufficient_quota' });
    const error = await failure();
    expect(error.trouble).toBe('budget');
    expect(error.message).toMatch(/quota .* is used up: You exceeded your current quota/);
    expect(stub.seen).toHaveLength(1);
  });

  it('asks again after a 500, as often as it may', async () => {
    stub.replies = [() => problem(500, { message: 'sorry', type: 'server_error' }), () => problem(503, { message: 'overloaded', type: 'server_error' })];
    await open()(['a']);
    expect(stub.seen).toHaveLength(3);
    stub.otherwise = () => problem(500, { message: 'sorry', type: 'server_error' });
    expect((await failure({ attempts: 3 })).message).toMatch(/answers 500: sorry/);
    expect(stub.seen).toHaveLength(6);
  });

  it('gives up on a service that is slow or not there, in time', async () => {
    stub.otherwise = () => 'never';
    expect((await failure({ attempts: 1, timeoutMs: 100 })).message).toMatch(/did not answer within 100 ms/);
    expect((await failure({ attempts: 1, baseUrl: 'http://127.0.0.1:1/v1' })).message).toMatch(/cannot be reached/);
  });

  it('leaves a service that failed three times in a row alone for some seconds, and is not put off by one slow answer', async () => {
    stub.replies = [() => 'never'];
    const embed = open({ attempts: 1, timeoutMs: 1_000 });
    await expect(embed(['a'])).rejects.toThrow(EmbeddingUnavailableError);
    expect(await embed(['a'])).toHaveLength(1);
    stub.otherwise = () => problem(500, { message: 'sorry', type: 'server_error' });
    for (let at = 0; at < 6; at++) await expect(embed(['a'])).rejects.toThrow(EmbeddingUnavailableError);
    expect(stub.seen).toHaveLength(5);
  });

  it('asks no more for a moment after one refusal that will come again: the key, the quota, a Retry-After', async () => {
    for (const reply of [problem(401, { message: 'no', type: 'x' }), problem(429, { message: 'no', type: 'insufficient_quota' }), limited({ 'retry-after': '60' })]) {
      const asked = stub.seen.length;
      stub.otherwise = () => reply;
      const embed = open({ attempts: 1 });
      await expect(embed(['a'])).rejects.toThrow(EmbeddingUnavailableError);
      await expect(embed(['a'])).rejects.toThrow(EmbeddingUnavailableError);
      expect(stub.seen).toHaveLength(asked + 1);
    }
  });

  it('gives no vector to the one text that is refused, and all others theirs', async () => {
    stub.otherwise = (request) => (request.input.includes('poison') ? problem(400, { message: 'invalid input', type: 'invalid_request_error' }) : answerTo(request));
    const vectors = await open()(['a', 'bb', 'poison', 'dddd', 'eeeee']);
    expect(vectors.map((vector) => vector !== undefined)).toEqual([true, true, false, true, true]);
    expect(events).toContain('text_refused');
  });

  it('is unavailable, and gives no vector up, where every text is refused', async () => {
    stub.otherwise = () => problem(400, { message: "This model does not support specifying dimensions", type: 'invalid_request_error' });
    const error = await failure({}, ['a', 'bb']);
    expect(error.message).toMatch(/does not support specifying dimensions.*OPENAI_SEND_DIMENSIONS/);
    expect(error.code).toBe('unavailable');
  });

  it('follows no redirect: the key goes to no other address', async () => {
    stub.otherwise = () => ({ status: 307, headers: { location: 'http://127.0.0.1:1/v1/embeddings' }, body: {} });
    expect((await failure({ attempts: 1 })).message).toMatch(/cannot be reached/);
    expect(stub.seen).toHaveLength(1);
  });
});

describe('Retry-After', () => {
  it('is read as seconds, as a date, and as the milliseconds that OpenAI sends', () => {
    const now = Date.parse('2026-11-22T10:00:00Z');
    expect(retryAfterMs(new Headers({ 'retry-after': '7' }), now)).toBe(7_000);
    expect(retryAfterMs(new Headers({ 'retry-after': 'Sun, 22 Nov 2026 10:00:30 GMT' }), now)).toBe(30_000);
    expect(retryAfterMs(new Headers({ 'retry-after-ms': '120', 'retry-after': '1' }), now)).toBe(120);
    expect(retryAfterMs(new Headers({ 'retry-after': 'soon' }), now)).toBeUndefined();
    expect(retryAfterMs(new Headers(), now)).toBeUndefined();
  });
});
