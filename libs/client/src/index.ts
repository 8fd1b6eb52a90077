export { ProblemError, TransportError } from './errors.ts';
export type { Problem } from './errors.ts';
export * from './millrace.ts';
export type * from './types.ts';
