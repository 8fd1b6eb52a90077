export { createContextWriter } from './context-writer.ts';
export type { ContextWriter, ContextWriterOptions, ErasedUsers, Outcome, Written } from './context-writer.ts';
export { createPublishedContextWriter } from './published-context-writer.ts';
export type { PublishedContextWriter, PublishedContextWriterOptions } from './published-context-writer.ts';
export { announceErasures, eraseContext } from './erase-context.ts';
export { mergeContext, setMergedInto } from './merge-context.ts';
export { readContext } from './read-context.ts';
export type { RecentItem, UserContext } from './read-context.ts';
export { MAX_CATEGORIES, MAX_ITEMS } from './scripts.ts';
