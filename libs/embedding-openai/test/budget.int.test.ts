import { afterEach, describe, expect, it } from '@jest/globals';
import { EmbeddingUnavailableError } from '@millrace/embedding';
import { testServer, uniqueName } from '@millrace/testing';
import { createOpenAiEmbedder, createRedisBudget } from '../src/index.ts';
import type { Budget, RedisBudgetOptions } from '../src/index.ts';
import { startOpenAiStub } from '../src/testing.ts';

describe('a budget in Redis', () => {
  const opened: Budget[] = [];
  afterEach(async () => {
    for (const budget of opened.splice(0)) await budget.close();
  });
  const open = (over: Partial<RedisBudgetOptions>): Budget => {
    const budget = createRedisBudget({ url: testServer('redis'), name: uniqueName('budget'), ...over });
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
    await budget.take(100);
    await budget.settle(100, 30);
    await budget.take(70);
    await expect(budget.take(1)).rejects.toThrow(/used up/);
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
