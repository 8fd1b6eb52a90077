export * from './topic.ts';
export * from './bus.ts';
