// The catalogue plane with vectors of a service: a stub of OpenAI's API on this machine.
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { eventually, uniqueName } from '@millrace/testing';
import { problem, startOpenAiStub } from '../../libs/embedding-openai/src/testing.ts';
import type { EmbeddingsRequest, OpenAiStub, Reply } from '../../libs/embedding-openai/src/testing.ts';
import { CATALOGUE_APPS, NOT_CACHED, ndjson, startPlane } from './support/plane.ts';
import type { Plane } from './support/plane.ts';

const apiKey = 'sk-e2e-77aa31f0';
const dimensions = 32;

/** Words that share letters are near each other; the same text always has the same vector. */
function answer({ input }: EmbeddingsRequest): Reply {
  const embed = (text: string): number[] => {
    const vector = Array.from({ length: dimensions }, () => 0.01);
    for (const word of text.toLowerCase().split(/\W+/)) if (word !== '') vector[word.split('').reduce((sum, letter) => sum * 31 + letter.charCodeAt(0), 7) % dimensions] = 1;
    return vector;
  };
  return { body: { object: 'list', data: input.map((text, index) => ({ object: 'embedding', index, embedding: embed(text) })), usage: { prompt_tokens: input.length * 5, total_tokens: input.length * 5 } } };
}
const quota = (): Reply => problem(429, { message: 'You exceeded your current quota', type: 'insufficient_quota', code: 'insufficient_quota' });

describe('the catalogue plane with vectors of a service', () => {
  let stub: OpenAiStub;
  let plane: Plane;
  const prefix = uniqueName('lamp');
  const items = (count: number, word = 'brass') => Array.from({ length: count }, (_, n) => ({ sku: `${prefix}-${n}`, name: `Lamp number ${n}`, description: `${word} lamp of series ${n % 9}`, category: `c${n % 7}`, price: n }));
  const search = (q: string) => plane.call('GET', `/api/search?q=${encodeURIComponent(q)}&hybrid=true&limit=5`, undefined, NOT_CACHED);
  const metric = async (name: string): Promise<string[]> => (await (await fetch(`${plane.stack.app('catalog-api').internalUrl}/metrics`)).text()).split('\n').filter((line) => line.startsWith(name));
  beforeAll(async () => {
    stub = await startOpenAiStub();
    stub.otherwise = answer;
    plane = await startPlane({}, { apps: CATALOGUE_APPS });
    await plane.import(ndjson(items(60)));
    await plane.agrees();
  });
  afterAll(async () => {
    await plane.stop();
    await stub.stop();
  });

  it('is a rebuild beside TF-IDF: similar products are answered all the while, then by the new model, in few requests', async () => {
    const env = { OPENAI_BASE_URL: stub.url, OPENAI_API_KEY: apiKey };
    const similar = () => plane.call('GET', `/api/products/${prefix}-1/similar?min_score=0`, undefined, NOT_CACHED);
    const before = (await similar()).body['model'];
    await plane.stack.app('catalog-api').restart(env);
    await eventually(async () => (await similar()).status === 200);
    await plane.stack.app('embedding-worker').restart({ ...env, EMBEDDING_PROVIDER: 'openai', VECTOR_DIMENSION: String(dimensions) });
    const degraded: unknown[] = [];
    await eventually(async () => {
      const { status, body } = await similar();
      if (status !== 200 || body['degraded'] !== false) degraded.push([status, body]);
      return status === 200 && body['model'] !== before;
    }, { timeoutMs: 60_000, everyMs: 50 });
    expect(degraded).toEqual([]);
    await plane.agrees();
    expect(stub.seen.every(({ headers, body }) => headers.authorization === `Bearer ${apiKey}` && body.dimensions === dimensions)).toBe(true);
    expect(stub.seen.length).toBeLessThan(10);
  });

  it('finds by words and vectors, and asks once for a query that comes again', async () => {
    expect((await search('brass lamp')).body).toMatchObject({ hybrid: true, degraded: false });
    const asked = stub.seen.length;
    expect((await search('  brass   lamp')).body).toMatchObject({ hybrid: true, degraded: false });
    expect(stub.seen).toHaveLength(asked);
    expect(await metric('query_vectors_total')).toEqual(expect.arrayContaining([expect.stringMatching(/result="hit".* 1$/)]));
  });

  it('answers by words, and says so, while the quota is used up; prices and deletes go on, changed texts wait, and nothing is lost', async () => {
    stub.otherwise = quota;
    const { status, body } = await search('number lamp');
    expect({ status, degraded: body['degraded'], hybrid: body['hybrid'] }).toEqual({ status: 200, degraded: true, hybrid: false });
    expect(body['data']).toHaveLength(5);
    expect((await search('brass lamp')).body).toMatchObject({ hybrid: true, degraded: false });
    expect(await plane.import(ndjson([{ ...items(3)[2], price: 99 }]))).toMatchObject({ updated: 1 });
    const version = (await plane.truth()).get(`${prefix}-2`);
    await eventually(async () => (await plane.embedded()).get(`${prefix}-2`) === version);
    expect(await plane.import(ndjson(items(2, 'golden')))).toMatchObject({ updated: 2 });
    await eventually(() => readFileSync(plane.stack.app('embedding-worker').logFile, 'utf8').includes('sink is unavailable: waiting'));
    // Behind changed texts that wait, in batches after theirs.
    await plane.import(ndjson([{ ...items(4)[3], price: 77 }]));
    const behind = (await plane.truth()).get(`${prefix}-3`);
    await eventually(async () => (await plane.embedded()).get(`${prefix}-3`) === behind);
    expect((await plane.embedded()).get(`${prefix}-0`)).not.toBe((await plane.truth()).get(`${prefix}-0`));
    stub.otherwise = answer;
    await plane.agrees(60_000);
  });

  it('has shown the key to nobody', () => {
    for (const app of plane.stack.apps) expect(readFileSync(app.logFile, 'utf8')).not.toContain(apiKey);
  });
});
