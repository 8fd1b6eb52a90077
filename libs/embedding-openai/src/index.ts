export { createRedisBudget, unlimitedBudget } from './budget.ts';
export type { Budget, BudgetLimits, RedisBudgetOptions, Reservation, Spent } from './budget.ts';
export { createOpenAiEmbedder } from './embedder.ts';
export type { OpenAiEmbedderOptions } from './embedder.ts';
