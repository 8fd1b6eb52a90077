export * from './topic.ts';
export { latestByKey } from './latest-by-key.ts';
