import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { EmbeddingUnavailableError } from '@millrace/embedding';
import { eventually, startTunnel, testServer, uniqueName } from '@millrace/testing';
import { createOpenAiEmbedder, createRedisBudget } from '../src/index.ts';
import type { Budget, RedisBudgetOptions } from '../src/index.ts';
import { answerTo, problem, startOpenAiStub } from '../src/testing.ts';
import type { EmbeddingsRequest, OpenAiStub, Reply } from '../src/testing.ts';

/** What can still be taken of a budget of at most 100 tokens and requests: found by asking. */
async function leftOf(budget: Budget): Promise<{ readonly tokens: number; readonly requests: number }> {
  let [tokens, refused] = [0, 101];
  while (refused - tokens > 1) {
    const asked = Math.floor((tokens + refused) / 2);
    const reserved = await budget.take(asked).catch(() => undefined);
    await reserved?.settle({ tokens: 0, requests: 0 });
    if (reserved === undefined) refused = asked;
    else tokens = asked;
  }
  const taken = await Promise.allSettled(Array.from({ length: 100 }, () => budget.take(0)));
  return { tokens, requests: taken.filter(({ status }) => status === 'fulfilled').length };
}

describe('a budget in Redis', () => {
  const opened: Budget[] = [];
  /** Stands still, so that no minute ends in the middle of a test. */
  const startMs = Date.now();
  afterEach(async () => {
    for (const budget of opened.splice(0)) await budget.close();
  });
  const open = (over: Partial<RedisBudgetOptions>): Budget => {
    const budget = createRedisBudget({ url: testServer('redis'), name: uniqueName('budget'), nowMs: () => startMs, ...over });
    opened.push(budget);
    return budget;
  };

  it('is one budget for all instances of the same name, and says how much it is and when there is more', async () => {
    const name = uniqueName('budget');
    const [one, other] = [open({ name, tokensPerDay: 100 }), open({ name, tokensPerDay: 100 })];
    await one.take(60);
    await expect(other.take(60)).rejects.toThrow(/budget of 100 tokens a day .* is used up, there is more in \d+ s/);
    await other.take(40);
    await expect(one.take(1)).rejects.toThrow(EmbeddingUnavailableError);
  });

  it('takes from no minute what the day refuses, and a refused attempt costs nothing', async () => {
    const budget = open({ tokensPerDay: 50, requestsPerMinute: 2 });
    await budget.take(10);
    for (let at = 0; at < 5; at++) await expect(budget.take(45)).rejects.toMatchObject({ trouble: 'budget' });
    await budget.take(40);
    await expect(budget.take(1)).rejects.toThrow(/a day/);
  });

  it('counts requests beside tokens', async () => {
    const budget = open({ requestsPerMinute: 2 });
    await budget.take(10);
    await budget.take(10);
    await expect(budget.take(10)).rejects.toThrow(/2 requests a minute/);
  });

  it('is corrected by what the provider really counted', async () => {
    const budget = open({ tokensPerDay: 100 });
    const reserved = await budget.take(100);
    await reserved.settle({ tokens: 30, requests: 1 });
    await budget.take(70);
    await expect(budget.take(1)).rejects.toThrow(/used up/);
  });

  it('counts all of a request that is larger than the budget, not less', async () => {
    const budget = open({ tokensPerDay: 100 });
    const reserved = await budget.take(300);
    await reserved.settle({ tokens: 250, requests: 1 });
    await expect(budget.take(1)).rejects.toThrow(/used up/);
  });

  it('gives back a request that never left, and only the tokens of one that was refused', async () => {
    const budget = open({ tokensPerDay: 100, requestsPerDay: 2 });
    await (await budget.take(100)).settle({ tokens: 0, requests: 0 });
    await (await budget.take(100)).settle({ tokens: 0, requests: 1 });
    await budget.take(100);
    await expect(budget.take(1)).rejects.toThrow(/tokens a day/);
  });

  it.each([
    { name: 'less than was taken is no gift to the next day', used: 10, left: 100 },
    { name: 'more than was taken is no debt of the next day', used: 90, left: 100 },
  ])('settles what was taken yesterday with yesterday: $name', async ({ used, left }) => {
    let now = Date.parse('2026-11-22T23:59:59.000Z');
    const budget = open({ tokensPerDay: 100, nowMs: () => now });
    const reserved = await budget.take(60);
    now += 2_000;
    await reserved.settle({ tokens: used, requests: 1 });
    await budget.take(left);
    await expect(budget.take(1)).rejects.toThrow(/used up/);
  });

  it('begins a day at midnight of UTC, and says how long that is', async () => {
    let now = Date.parse('2026-11-22T23:59:50.000Z');
    const budget = open({ tokensPerDay: 100, nowMs: () => now });
    await budget.take(100);
    await expect(budget.take(1)).rejects.toMatchObject({ retryAfterMs: 10_000 });
    now += 10_000;
    await budget.take(100);
  });

  it('settles what an instance took by itself while Redis was away with itself, not with Redis', async () => {
    const name = uniqueName('budget');
    const tunnel = await startTunnel(testServer('redis'));
    tunnel.drop(true);
    try {
      const [cut, other] = [open({ name, url: tunnel.url, tokensPerDay: 100 }), open({ name, tokensPerDay: 100 })];
      const reserved = await cut.take(60);
      tunnel.drop(false);
      // Counted in Redis again: the other one sees it.
      await eventually(async () => {
        await cut.take(1);
        return other.take(100).then((held) => held.settle({ tokens: 0, requests: 0 }).then(() => false), () => true);
      }, { everyMs: 50 });
      await reserved.settle({ tokens: 0, requests: 0 });
      await expect(other.take(100)).rejects.toThrow(/used up/);
    } finally {
      tunnel.drop(false);
      tunnel.close();
    }
  });

  describe('of an embedder', () => {
    let stub: OpenAiStub;
    beforeEach(async () => {
      stub = await startOpenAiStub();
    });
    afterEach(() => stub.stop());
    const text = 'a'.repeat(30);
    const failing = (status: number): Reply => problem(status, { message: 'no', type: 'x' });
    const fewer = (request: EmbeddingsRequest): Reply => answerTo({ ...request, dimensions: 3 });
    const silent = (): Reply => 'never';

    // A text is estimated as 10 tokens and counted as 8; a text of one letter as 1 and 1.
    it.each([
      { name: 'an answer, as the provider counted it', replies: [], tokens: 8, requests: 1 },
      { name: 'an answer without a count, as estimated', replies: [() => ({ body: { data: [{ index: 0, embedding: [1, 0, 0, 0] }] } })], tokens: 10, requests: 1 },
      { name: 'each try of which nobody knows whether it was done: silence, 500', replies: [silent, () => failing(500)], tokens: 28, requests: 3 },
      { name: 'no token of a try that was refused: 429', replies: [() => failing(429)], tokens: 8, requests: 2 },
      { name: 'an answer that cannot be used, as the provider counted it', replies: [fewer], tokens: 8, requests: 1 },
      { name: 'a broken answer as estimated, and the next try', replies: [() => ({ raw: '{' })], tokens: 18, requests: 2 },
    ])('counts $name', async ({ replies, tokens, requests }) => {
      stub.replies = [...replies];
      const budget = open({ tokensPerDay: 100, requestsPerDay: 100 });
      const embed = createOpenAiEmbedder({ baseUrl: stub.url, model: 'm', dimensions: 4, sendDimensions: false, timeoutMs: 2_000, budget });
      await embed([text]).catch((error: unknown) => expect(error).toBeInstanceOf(EmbeddingUnavailableError));
      expect(stub.seen).toHaveLength(requests);
      expect(await leftOf(budget)).toEqual({ tokens: 100 - tokens, requests: 100 - requests });
    });

    it('counts no token of batches that are refused until the culprit stands alone', async () => {
      stub.otherwise = (request) => (request.input.includes('poison') ? failing(400) : answerTo(request));
      const budget = open({ tokensPerDay: 100, requestsPerDay: 100 });
      await createOpenAiEmbedder({ baseUrl: stub.url, model: 'm', dimensions: 4, sendDimensions: false, timeoutMs: 1_000, budget })([text, 'poison', text, text]);
      // Three texts of 8 and the word that tells a text from a request, twice refused before it.
      expect((await leftOf(budget)).tokens).toBe(100 - 25);
    });

    it('counts nothing where the provider cannot be reached', async () => {
      const budget = open({ tokensPerDay: 100, requestsPerDay: 100 });
      await stub.stop();
      const embed = createOpenAiEmbedder({ baseUrl: stub.url, model: 'm', dimensions: 4, sendDimensions: false, timeoutMs: 1_000, attempts: 2, budget });
      await expect(embed([text])).rejects.toThrow(/cannot be reached/);
      expect(await leftOf(budget)).toEqual({ tokens: 100, requests: 100 });
    });
  });

  it('stops the embedder before the request that is too much, with nothing sent', async () => {
    const stub = await startOpenAiStub();
    try {
      const embed = createOpenAiEmbedder({ baseUrl: stub.url, model: 'm', dimensions: 4, sendDimensions: true, timeoutMs: 1_000, budget: open({ tokensPerDay: 10 }) });
      await embed(['a'.repeat(27)]);
      await expect(embed(['b'.repeat(27)])).rejects.toMatchObject({ trouble: 'budget', retryAfterMs: expect.any(Number) });
      expect(stub.seen).toHaveLength(1);
    } finally {
      await stub.stop();
    }
  });

  it('goes on counting by itself while Redis is away', async () => {
    const budget = open({ url: 'redis://127.0.0.1:1', tokensPerDay: 10 });
    await budget.take(10);
    await expect(budget.take(1)).rejects.toThrow(/used up/);
  });
});
